"""The settings: where a value comes from, what is refused, and what is never shown."""

import inspect

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidInput, PuppetError
from inference.settings import Settings, UnsafeAddress, is_loopback, read_settings

FIELDS = [field.name for field in msgspec.structs.fields(Settings)]
TOKEN = "kE3-not-to-be-shown"


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
        store="/srv/models",
        trainer="none",
        default_model="mails",
        admin_token=TOKEN,
        allowed_hosts="a.example, b.example",
        search_body_bytes=1000,
        mail_body_bytes=1500,
        test_body_bytes=2000,
        train_body_bytes=3000,
        train_timeout_s=1.5,
    )
    environment = {f"PUPPET_{name.upper()}": str(getattr(wanted, name)) for name in FIELDS}
    assert all(getattr(wanted, name) != getattr(Settings(), name) for name in FIELDS)

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


@pytest.mark.parametrize("token", ["clé-secrète", "two words", " leading", "line\n", "tab\t", "\udcff"])
def test_token_that_no_header_carries_is_refused_unseen(token: str) -> None:
    """A token that could never arrive in a header stops the start, and the message does not show it."""
    with pytest.raises(InvalidInput) as caught:
        read_settings({"PUPPET_ADMIN_TOKEN": token}, {})

    (fault,) = caught.value.faults
    assert fault.pointer == "PUPPET_ADMIN_TOKEN"
    assert token not in fault.detail
    assert repr(token) not in fault.detail


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "2001:db8::1", "example.org", "localhost.example", ""])
def test_other_addresses_need_a_token(host: str) -> None:
    """Without an admin token the server refuses an address that others reach, and says both ways out."""
    with pytest.raises(UnsafeAddress, match=r"set PUPPET_ADMIN_TOKEN in the environment, or use --host 127\.0\.0\.1"):
        read_settings({}, {"host": host})

    assert read_settings({"PUPPET_ADMIN_TOKEN": TOKEN}, {"host": host}).host == host


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
        st.sampled_from([f"PUPPET_{name.upper()}" for name in FIELDS if name != "admin_token"]), st.text(max_size=8)
    )
)
def test_any_environment_is_read_or_refused_in_words(environment: dict[str, str]) -> None:
    """Whatever stands in the variables, the result is settings or an error of ours, and never shows the token."""
    said = ""
    try:
        settings = read_settings(environment | {"PUPPET_ADMIN_TOKEN": TOKEN}, {})
        assert msgspec.convert(msgspec.to_builtins(settings), Settings) == settings
    except PuppetError as error:
        said = "\n".join(map(str, [error, *getattr(error, "faults", ())]))

    assert TOKEN not in said
