"""The settings: where a value comes from, what is refused, and what is never shown."""

import inspect
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import Fault, InvalidInput, PuppetError
from inference.settings import (
    MAX_TOKEN_FILE_BYTES,
    TOKENS,
    Settings,
    UnsafeAddress,
    is_loopback,
    named_tokens,
    read_settings,
)
from inference.tokens import sha256_of

FIELDS = [field.name for field in msgspec.structs.fields(Settings)]
FILES = [f"{name}_file" for name in TOKENS]
TOKEN, SEARCH_TOKEN = "kE3-not-to-be-shown", "kS7-not-to-be-shown"
BOTH = {"PUPPET_ADMIN_TOKEN": TOKEN, "PUPPET_SEARCH_TOKEN": SEARCH_TOKEN}


def test_nothing_given_means_the_defaults() -> None:
    """Without variables and options the server listens on loopback, on the port that DESIGN promises."""
    settings = read_settings({}, {})

    assert settings == Settings()
    assert (settings.host, settings.port, settings.store) == ("127.0.0.1", 8000, "artifacts/models")
    assert (settings.search_body_bytes, settings.test_body_bytes) == (262144, 8388608)
    assert settings.train_body_bytes == 268435456


def test_environment_sets_every_field() -> None:
    """Each field can be set by PUPPET_ and its name in capitals, and is read as its own type."""
    wanted = Settings(
        host="127.0.0.2",
        port=1234,
        workers=2,
        store="/srv/models",
        engine="fused",
        trainer="none",
        default_model="mails",
        admin_token=TOKEN,
        search_token=SEARCH_TOKEN,
        allowed_hosts="a.example, b.example",
        search_body_bytes=1000,
        mail_body_bytes=1500,
        test_body_bytes=2000,
        train_body_bytes=3000,
        unpacked_bytes=3500,
        queue_limit=5,
        search_queue_tokens=6,
        keep_versions=7,
        drift_days=8,
        feedback_limit=9,
        head_timeout_s=2.5,
        body_idle_timeout_s=3.5,
        body_bytes_s=10,
        keep_alive_s=4.5,
        max_connections=11,
        feedback_days=10,
        jobs_days=11,
        files_hours=12,
        train_timeout_s=1.5,
        review=True,
        review_days=12,
        review_limit=13,
        train_after=14,
        train_from="serving",
        docs="chapters",
        feedback_role="search",
        audit_days=10,
    )
    names = [
        name for name in FIELDS if name not in (*FILES, "tokens_file")
    ]  # which would be a second way to set the tokens
    environment = {f"PUPPET_{name.upper()}": str(getattr(wanted, name)) for name in names}
    assert all(getattr(wanted, name) != getattr(Settings(), name) for name in names)

    assert read_settings(environment, {}) == wanted


def test_other_variables_are_left_alone() -> None:
    """A variable without our prefix is nobody's mistake."""
    assert read_settings({"PATH": "/bin", "PORT": "1", "puppet_port": "x", "MY_PUPPET_PORT": "x"}, {}) == Settings()


def test_option_wins_over_the_environment() -> None:
    """An option that was given beats its variable, and one that was not given (None) does not."""
    environment = {"PUPPET_PORT": "1111", "PUPPET_STORE": "from-environment"}

    settings = read_settings(environment, {"port": 2222, "store": None, "host": None})

    assert (settings.port, settings.store) == (2222, "from-environment")


def test_unknown_variable_is_named_with_the_known_ones() -> None:
    """A misspelt PUPPET_ variable stops the start, and the message lists every name that would have been right."""
    with pytest.raises(InvalidInput) as caught:
        read_settings({"PUPPET_PROT": "8000"}, {})

    (fault,) = caught.value.faults
    assert fault.pointer == "PUPPET_PROT"
    assert all(f"PUPPET_{name.upper()}" in fault.detail for name in FIELDS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUPPET_PORT", "-1"),
        ("PUPPET_PORT", "65536"),
        ("PUPPET_PORT", "http"),
        ("PUPPET_PORT", ""),
        ("PUPPET_TRAINER", "remote"),
        ("PUPPET_DEFAULT_MODEL", "../x"),
        ("PUPPET_DEFAULT_MODEL", ""),
        ("PUPPET_SEARCH_BODY_BYTES", "0"),
        ("PUPPET_TEST_BODY_BYTES", "-5"),
        ("PUPPET_TRAIN_BODY_BYTES", "1.5"),
        ("PUPPET_TRAIN_TIMEOUT_S", "0"),
        ("PUPPET_TRAIN_TIMEOUT_S", "nan"),
        ("PUPPET_TRAIN_TIMEOUT_S", "inf"),  # no clock can be set to it
        ("PUPPET_TRAIN_TIMEOUT_S", "1e300"),
    ],
)
def test_value_outside_its_range_is_refused(name: str, value: str) -> None:
    """A value outside the field's range or of another type stops the start, with the name and the value."""
    with pytest.raises(InvalidInput) as caught:
        read_settings({name: value}, {})

    (fault,) = caught.value.faults
    assert fault.pointer == name
    assert repr(value) in fault.detail


@pytest.mark.parametrize(("name", "value"), [("PUPPET_PORT", "0"), ("PUPPET_PORT", "65535")])
def test_ends_of_a_range_are_allowed(name: str, value: str) -> None:
    """The smallest and the largest port are accepted."""
    assert read_settings({name: value}, {}).port == int(value)


def test_every_fault_is_listed() -> None:
    """Three mistakes are reported at once, not one start at a time."""
    with pytest.raises(InvalidInput) as caught:
        read_settings({"PUPPET_PORT": "x", "PUPPET_COLOUR": "red"}, {"trainer": "remote"})

    assert {fault.pointer for fault in caught.value.faults} == {"PUPPET_PORT", "PUPPET_COLOUR", "PUPPET_TRAINER"}


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("token", ["clé-secrète", "two words", " leading", "line\n", "tab\t", "\udcff"])
def test_token_that_no_header_carries_is_refused_unseen(name: str, token: str) -> None:
    """A token that could never arrive in a header stops the start, and the message does not show it."""
    with pytest.raises(InvalidInput) as caught:
        read_settings({f"PUPPET_{name.upper()}": token}, {})

    (fault,) = caught.value.faults
    assert fault.pointer == f"PUPPET_{name.upper()}"
    assert token not in fault.detail
    assert repr(token) not in fault.detail


def test_one_token_for_both_roles_is_refused(tmp_path: Path) -> None:
    """A search token that is also the admin token would make every client an administrator."""
    for environment in (
        {"PUPPET_ADMIN_TOKEN": TOKEN, "PUPPET_SEARCH_TOKEN": TOKEN},
        {"PUPPET_ADMIN_TOKEN_FILE": token_file(tmp_path, TOKEN), "PUPPET_SEARCH_TOKEN": TOKEN},
    ):
        with pytest.raises(InvalidInput) as caught:
            read_settings(environment, {})

        (fault,) = caught.value.faults
        assert fault == Fault.of("PUPPET_SEARCH_TOKEN", "same-token-twice")


def test_shown_settings_hide_the_tokens() -> None:
    """What is printed says of a token only whether it is set, and leaves the rest as it is."""
    settings = Settings(port=1234, admin_token=TOKEN, search_token=SEARCH_TOKEN)

    assert settings.shown == Settings(port=1234, admin_token="set", search_token="set")
    assert Settings(search_token=SEARCH_TOKEN).shown == Settings(search_token="set")
    assert Settings().shown == Settings()


# Named tokens


def put_named(store: Path, *tokens: tuple[str, str, str]) -> None:
    """Write named tokens of these roles, digests and ends into a store's folder."""
    entries = [
        f'[[token]]\nname = "t{number}"\nrole = "{role}"\nsha256 = "{digest}"\n'
        + (f"expires = {ends}\n" if ends else "")
        for number, (role, digest, ends) in enumerate(tokens)
    ]
    (store / "tokens.toml").touch(0o600)
    (store / "tokens.toml").write_text("\n".join(entries))


DIGEST, OTHER = "1" * 64, "2" * 64


@pytest.mark.parametrize(
    ("environment", "tokens", "missing"),
    [
        ({}, [("admin", DIGEST, ""), ("search", OTHER, "")], []),
        ({}, [("admin", DIGEST, "2999-01-01"), ("search", OTHER, "2999-01-01")], []),
        ({}, [("admin", DIGEST, "2001-01-01"), ("search", OTHER, "")], ["not set: PUPPET_ADMIN_TOKEN,"]),
        ({}, [("admin", DIGEST, "")], ["not set: PUPPET_SEARCH_TOKEN,"]),
        ({}, [("label", DIGEST, "")], ["not set: PUPPET_ADMIN_TOKEN, PUPPET_SEARCH_TOKEN,"]),
        ({"PUPPET_ADMIN_TOKEN": "a" * 16}, [("search", OTHER, "")], []),
        ({"PUPPET_SEARCH_TOKEN": "s" * 16}, [("admin", OTHER, "")], []),
        (
            {"PUPPET_ADMIN_TOKEN": "a" * 15},
            [("admin", DIGEST, ""), ("search", OTHER, "")],
            ["characters: PUPPET_ADMIN_TOKEN;"],
        ),
    ],
)
def test_named_tokens_count_where_others_reach_the_server(
    tmp_path: Path, environment: dict[str, str], tokens: list[tuple[str, str, str]], missing: list[str]
) -> None:
    """A named token of a role that has not expired stands for that role's variable; a short variable stays refused."""
    put_named(tmp_path, *tokens)
    options = {"host": "0.0.0.0", "store": str(tmp_path)}  # what is tried here
    if not missing:
        assert read_settings(environment, options).host == "0.0.0.0"
        assert len(named_tokens(read_settings(environment, options))) == len(tokens)
        return

    with pytest.raises(UnsafeAddress) as caught:
        read_settings(environment, options)

    assert all(word in str(caught.value) for word in missing)
    assert "puppet-serve token NAME --role ROLE" in str(caught.value)


def test_token_of_the_environment_is_not_named_again(tmp_path: Path) -> None:
    """One token has one name and one role."""
    put_named(tmp_path, ("label", sha256_of(TOKEN), ""))

    with pytest.raises(InvalidInput, match="named token 't0' is also PUPPET_ADMIN_TOKEN"):
        named_tokens(Settings(store=str(tmp_path), admin_token=TOKEN))


def test_file_that_a_setting_names_must_be_there(tmp_path: Path) -> None:
    """Without the setting it is the store's, which may be missing; the setting wins over it."""
    put_named(tmp_path, ("label", DIGEST, ""))
    assert len(named_tokens(Settings(store=str(tmp_path)))) == 1
    assert named_tokens(Settings(store=str(tmp_path / "new"))) == ()

    with pytest.raises(InvalidInput, match="No such file"):
        named_tokens(Settings(store=str(tmp_path), tokens_file=str(tmp_path / "none")))


# Tokens in files


def token_file(folder: Path, content: str | bytes, mode: int = 0o600) -> str:
    """Return the path of a new file with this content."""
    path = folder / f"token{len(list(folder.iterdir()))}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return str(path)


def refused_file(path: str, name: str = "admin_token") -> str:
    """Return why a file is refused as a token's."""
    with pytest.raises(InvalidInput) as caught:
        read_settings({f"PUPPET_{name.upper()}_FILE": path}, {})
    (fault,) = caught.value.faults
    assert fault.pointer == f"PUPPET_{name.upper()}_FILE"
    assert TOKEN not in fault.detail
    return fault.detail


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("mode", [0o600, 0o400])
@pytest.mark.parametrize("end", ["", "\n"])
def test_file_holds_the_token(tmp_path: Path, name: str, mode: int, end: str) -> None:
    """The one line of a file that only its owner can read is the token, with a line end or without."""
    path = token_file(tmp_path, TOKEN + end, mode)

    settings = read_settings({f"PUPPET_{name.upper()}_FILE": path}, {})

    assert settings == msgspec.structs.replace(Settings(), **{name: TOKEN, f"{name}_file": path})
    assert [one.sha256 for one in settings.own_tokens] == [sha256_of(TOKEN)]
    assert [one.role for one in settings.own_tokens] == [name.removesuffix("_token")]


def test_empty_path_is_no_file() -> None:
    """A variable that is set to nothing is as good as none, for the path as for the token."""
    environment = BOTH | {"PUPPET_ADMIN_TOKEN_FILE": "", "PUPPET_SEARCH_TOKEN_FILE": ""}

    assert read_settings(environment, {}) == Settings(admin_token=TOKEN, search_token=SEARCH_TOKEN)


@pytest.mark.parametrize("name", TOKENS)
def test_token_and_its_file_are_one_too_many(tmp_path: Path, name: str) -> None:
    """A token that is set twice stops the start, for nobody could say which one holds."""
    variable = f"PUPPET_{name.upper()}"

    with pytest.raises(InvalidInput) as caught:
        read_settings({variable: TOKEN, f"{variable}_FILE": token_file(tmp_path, TOKEN)}, {})

    assert caught.value.faults == (Fault.of(f"{variable}_FILE", "token-given-twice", variable=variable),)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o700, 0o4600, 0o777])
def test_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    """A mode with one bit more than 0600 stops the start, with the remedy."""
    path = token_file(tmp_path, TOKEN, mode)

    assert refused_file(path) == (
        f"{path!r} has mode {mode:04o}, the most is 0600, its owner's alone; run: chmod 600 {path}"
    )


def test_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose owner is another user, who could change it, stops the start."""
    path = token_file(tmp_path, TOKEN)
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)

    assert f"belongs to user {os.getuid()}, this process is user {os.getuid() + 1}" in refused_file(path)


@pytest.mark.parametrize(
    "content",
    [
        "", "\n", " ", f"{TOKEN}\n\n", f"{TOKEN}\nmore", f"\n{TOKEN}", f" {TOKEN}", f"{TOKEN} ", f"{TOKEN}\r\n",
        f"{TOKEN}\0", f"{TOKEN}\x7f", f"\ufeff{TOKEN}", "clé", b"\xff\xfe", "x" * (MAX_TOKEN_FILE_BYTES + 1),
    ],
)  # fmt: skip
def test_file_that_holds_no_token_is_refused_unseen(tmp_path: Path, content: str | bytes) -> None:
    """Anything but one line of printable ASCII stops the start, and the message shows none of it."""
    path = token_file(tmp_path, content)

    assert refused_file(path) == (f"{path!r} holds no token; write one line of printable ASCII without spaces into it")


def test_longest_token_of_a_file_is_read(tmp_path: Path) -> None:
    """A token as long as the limit of the file is whole."""
    path = token_file(tmp_path, "x" * MAX_TOKEN_FILE_BYTES)

    assert len(read_settings({"PUPPET_SEARCH_TOKEN_FILE": path}, {}).search_token) == MAX_TOKEN_FILE_BYTES


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A folder, a link, a pipe that nobody writes to, a device and a missing file stop the start without waiting."""
    (tmp_path / "link").symlink_to(token_file(tmp_path, TOKEN))
    os.mkfifo(tmp_path / "pipe", 0o600)

    assert "Is a directory" in refused_file(str(tmp_path))
    assert "is a link, which is not followed" in refused_file(str(tmp_path / "link"))
    assert "is no regular file" in refused_file(str(tmp_path / "pipe"))
    assert "is no regular file" in refused_file("/dev/null")
    assert "No such file or directory" in refused_file(str(tmp_path / "none"))
    assert "is no path" in refused_file("a\0b")
    assert "is no path" in refused_file("\ud800")


# Addresses


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "2001:db8::1", "example.org", "localhost.example", ""])
def test_other_addresses_need_both_tokens(tmp_path: Path, host: str) -> None:
    """Without both tokens the server refuses an address that others reach, and says what is missing and the way out."""
    for environment, missing in (
        ({}, "PUPPET_ADMIN_TOKEN, PUPPET_SEARCH_TOKEN"),
        ({"PUPPET_ADMIN_TOKEN": TOKEN}, "PUPPET_SEARCH_TOKEN"),
        ({"PUPPET_SEARCH_TOKEN": TOKEN}, "PUPPET_ADMIN_TOKEN"),
    ):
        with pytest.raises(UnsafeAddress) as caught:
            read_settings(environment, {"host": host})
        assert str(caught.value).startswith(f"refusing to listen on {host}, where anyone who reaches it could ask")
        assert f"not set: {missing}, tokens of less than 16 characters: none; set each" in str(caught.value)
        assert "in the environment or by _FILE, or use --host 127.0.0.1; " in str(caught.value)

    assert read_settings(BOTH, {"host": host}).host == host
    from_file = {"PUPPET_ADMIN_TOKEN": TOKEN, "PUPPET_SEARCH_TOKEN_FILE": token_file(tmp_path, SEARCH_TOKEN)}
    assert read_settings(from_file, {"host": host}).host == host


def test_short_token_is_for_this_machine_only(tmp_path: Path) -> None:
    """A token of 15 characters, which could be guessed, serves on loopback, but on no address that others reach."""
    short, enough = "x" * 15, "y" * 16

    assert read_settings({"PUPPET_ADMIN_TOKEN": "x"}, {}).admin_token == "x"
    for environment, names in (
        ({"PUPPET_ADMIN_TOKEN": short, "PUPPET_SEARCH_TOKEN": enough}, ("none", "PUPPET_ADMIN_TOKEN")),
        ({"PUPPET_ADMIN_TOKEN": enough, "PUPPET_SEARCH_TOKEN": short}, ("none", "PUPPET_SEARCH_TOKEN")),
        ({"PUPPET_ADMIN_TOKEN": short}, ("PUPPET_SEARCH_TOKEN", "PUPPET_ADMIN_TOKEN")),
        (
            {"PUPPET_ADMIN_TOKEN": enough, "PUPPET_SEARCH_TOKEN_FILE": token_file(tmp_path, short)},
            ("none", "PUPPET_SEARCH_TOKEN"),
        ),
    ):
        with pytest.raises(UnsafeAddress) as caught:
            read_settings(environment, {"host": "0.0.0.0"})
        assert "not set: {}, tokens of less than 16 characters: {}; ".format(*names) in str(caught.value)
        assert short not in str(caught.value)

    lengths = {"PUPPET_ADMIN_TOKEN": enough, "PUPPET_SEARCH_TOKEN": "z" * 16}
    assert read_settings(lengths, {"host": "0.0.0.0"}).admin_token == enough


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    """On an address that only this machine reaches, no token is needed."""
    assert is_loopback(host)
    assert read_settings({}, {"host": host}).host == host


def test_hosts_are_loopback_own_and_allowed_names() -> None:
    """The server answers to the loopback names, its own address and the allowed names, in lower case."""
    settings = Settings(host="2001:DB8::1", allowed_hosts="Puppet.Example,, other.example ,")

    assert settings.hosts == {
        "localhost", "127.0.0.1", "[::1]", "[2001:db8::1]", "puppet.example", "other.example",
    }  # fmt: skip


def test_every_field_is_documented() -> None:
    """Each field has its line in the docstring, in the order of the fields."""
    section = inspect.getdoc(Settings)
    assert section is not None
    lines = section.partition("Attributes:\n")[2].splitlines()
    documented = [line.strip().partition(":")[0] for line in lines if line.startswith("    ") and line[4] != " "]

    assert documented == FIELDS


def test_settings_cannot_be_changed() -> None:
    """Settings are read once; nothing changes them later."""
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]


@given(
    st.dictionaries(
        st.sampled_from([f"PUPPET_{name.upper()}" for name in FIELDS if name not in TOKENS]), st.text(max_size=8)
    )
)
def test_any_environment_is_read_or_refused_in_words(environment: dict[str, str]) -> None:
    """Whatever stands in the variables, the result is settings or an error of ours, and never shows a token."""
    said = ""
    try:
        settings = read_settings(environment | BOTH, {})
        assert msgspec.convert(msgspec.to_builtins(settings), Settings) == settings
    except PuppetError as error:
        said = "\n".join(map(str, [error, *getattr(error, "faults", ())]))

    assert TOKEN not in said
    assert SEARCH_TOKEN not in said
