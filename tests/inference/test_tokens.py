"""The file of the named tokens: what it may hold, whom it must belong to, and how one is added."""

import os
import threading
import time
import tomllib
from pathlib import Path

import pytest

from artifacts.errors import InvalidInput
from inference.tokens import MAX_FILE_BYTES, NamedToken, make_token, read_tokens, sha256_of

DIGEST, OTHER = sha256_of("a" * 32), sha256_of("b" * 32)
GOOD = f'[[token]]\nname = "desk"\nrole = "label"\nsha256 = "{DIGEST}"\n'
DAY = 1_782_777_600.0  # 2026-06-30T00:00:00Z


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the path of a file that is not there."""
    return tmp_path / "tokens.toml"


def put(file: Path, content: str | bytes) -> None:
    """Write the file, with the mode that it must have."""
    file.touch(0o600)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(
    ("written", "expires"),
    [
        ("", None),
        ("expires = 2026-06-30", DAY + 86400),  # to the end of the day
        ('expires = "2026-06-30"', DAY + 86400),
        ("expires = 2026-06-30T00:00:00Z", DAY),
        ("expires = 2026-06-30 02:00:00+02:00", DAY),
        ('expires = "2026-06-29T19:30:00-04:30"', DAY),
        ('expires = "2026-06-30t00:00:00.5z"', DAY + 0.5),
    ],
)
def test_entry_is_read(file: Path, written: str, expires: float | None) -> None:
    """Name, role, digest in any case and the end of a token are read; a date ends with its day, UTC."""
    put(file, GOOD.replace(DIGEST, DIGEST.upper()) + written + "\n")

    (token,) = read_tokens(file)

    assert token == NamedToken("desk", "label", DIGEST, expires)
    assert token.has_expired(DAY + 86400) == (expires is not None)
    assert not token.has_expired(DAY - 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[[token]", ["are no TOML"]),
        (b"\xff\xfe", ["are no TOML"]),
        ("token = 1", ["expected tables `[[token]]`"]),
        ("[tokens]", ["stand beside tokens, expected tables `[[token]]` and nothing else"]),
        (GOOD + "[[tokens]]\n", ["stand beside tokens"]),
        ("token = [1]", ["/token/0"]),
        ("[[token]]\n", ["/token/0", "name"]),
        (GOOD + "token = 'x'\n", ["/token/0/token: is an unknown field"]),
        (GOOD.replace("label", "root"), ["/token/0", "role"]),
        (GOOD.replace("desk", ""), ["/token/0/name: a token cannot be named ''", "letters, digits"]),
        (GOOD.replace("desk", "a b"), ["'a b'"]),
        (GOOD.replace("desk", "(this machine)"), ["'(this machine)'"]),
        (GOOD.replace("desk", "PUPPET_ADMIN_TOKEN"), ["begins with PUPPET_"]),
        (GOOD.replace("desk", "puppet_x"), ["begins with PUPPET_"]),
        (GOOD.replace("desk", "é"), ["'é'"]),
        (GOOD.replace("desk", "x" * 64), ["1 to 63 letters"]),
        (GOOD.replace(DIGEST, DIGEST[1:]), ["/token/0/sha256: is no SHA-256"]),
        (GOOD.replace(DIGEST, "secret-token"), ["/token/0", "sha256"]),
        (GOOD + "expires = 2026-06-30T00:00:00\n", ["with its zone"]),
        (GOOD + "expires = 12:00:00\n", ["/token/0", "expires"]),
        (GOOD + 'expires = "soon"\n', ["/token/0/expires: is 'soon'"]),
        (GOOD + 'expires = "2026-02-30"\n', ["is '2026-02-30'"]),
        (GOOD + "expires = 1\n", ["/token/0", "expires"]),
        (GOOD + GOOD.replace(DIGEST, OTHER), ["/token/1/name", "'desk' is taken"]),
        (GOOD + GOOD.replace("desk", "other"), ["/token/1/sha256", "that of 'desk' too"]),
        (GOOD + "#" * MAX_FILE_BYTES, [f"more than {MAX_FILE_BYTES} bytes"]),
    ],
)
def test_what_does_not_fit_is_refused(file: Path, content: str | bytes, words: list[str]) -> None:
    """Each fault is named with its place and remedy, and what may be a token or a digest is never shown."""
    put(file, content)

    with pytest.raises(InvalidInput) as caught:
        read_tokens(file)

    said = "; ".join([str(caught.value), *map(str, caught.value.faults)])
    assert all(word in said for word in words), said
    assert "secret-token" not in said
    assert DIGEST[1:] not in said


def test_all_faults_are_named(file: Path) -> None:
    """Two wrong entries are two faults, and a good one between them is none."""
    put(file, GOOD.replace("desk", "") + GOOD + GOOD.replace("label", "x"))

    with pytest.raises(InvalidInput) as caught:
        read_tokens(file)

    assert [fault.pointer for fault in caught.value.faults] == ["/token/0/name", "/token/2/role"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o700, 0o666])
def test_file_of_others_is_refused(file: Path, mode: int) -> None:
    """A file that others may read, or write, is refused with the command that helps."""
    put(file, GOOD)
    file.chmod(mode)

    with pytest.raises(InvalidInput, match=f"has mode {mode:04o}, the most is 0600.*chmod 600"):
        read_tokens(file)


def test_file_of_another_owner_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of the file may write tokens into it, so it must be the user of the server."""
    put(file, GOOD)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)

    with pytest.raises(InvalidInput, match="this process is user 4242; run: chown 4242"):
        read_tokens(file)


def test_link_and_folder_are_refused(file: Path) -> None:
    """A link may lead to a file that its owner can exchange; a folder is no file."""
    put(file.with_name("real"), GOOD)
    file.symlink_to("real")

    with pytest.raises(InvalidInput, match="a link, which is not followed"):
        read_tokens(file, may_be_missing=True)
    file.unlink()
    file.mkdir()
    with pytest.raises(InvalidInput):
        read_tokens(file)


def test_missing_file_is_none_only_where_it_may_be(file: Path) -> None:
    """The file of the store may be missing; one that a setting names may not."""
    assert read_tokens(file, may_be_missing=True) == ()
    with pytest.raises(InvalidInput, match="No such file"):
        read_tokens(file)


# Making one


def test_made_token_is_known_and_nowhere_written(file: Path) -> None:
    """The token that is returned has the digest in the file, whose mode is 0600; the token itself is not in it."""
    before = time.time()

    token = make_token(file, "desk", "label", None)
    other = make_token(file, "ci", "search", 30)

    desk, ci = read_tokens(file)
    assert desk == NamedToken("desk", "label", sha256_of(token))
    assert (ci.name, ci.role, ci.sha256) == ("ci", "search", sha256_of(other))
    assert ci.expires is not None
    assert before - 1 <= ci.expires - 30 * 86400 <= time.time()
    assert len({token, other}) == 2
    assert len(token) == 64
    assert file.stat().st_mode & 0o777 == 0o600
    assert token not in file.read_text()
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_what_stands_in_the_file_stays(file: Path) -> None:
    """Comments and entries stay to the letter, with or without a last line break."""
    put(file, "# ours\n" + GOOD.rstrip("\n"))
    file.with_name(".tokens.toml.part").write_text("left by a crash")

    make_token(file, "ci", "admin", None)

    assert file.read_text().startswith("# ours\n" + GOOD + "\n[[token]]\n")
    assert [one.name for one in read_tokens(file)] == ["desk", "ci"]


@pytest.mark.parametrize(
    ("content", "name", "days", "words"),
    [
        (GOOD, "desk", None, "has a token 'desk' already"),
        (GOOD, 'x"\nrole = "admin', None, "a token cannot be named"),
        (GOOD, "PUPPET_ADMIN_TOKEN", None, "begins with PUPPET_"),
        (GOOD, "a", 0, "is to last 0 days, the limit is 36500; give 1 to 36500"),
        (GOOD, "a", 10**9, "give 1 to"),
        ("token = []\n", "a", None, "are no TOML"),
        ("[[token]]\n", "a", None, "do not fit"),
    ],
)
def test_what_cannot_be_added_leaves_the_file(
    file: Path, content: str, name: str, days: int | None, words: str
) -> None:
    """A name that is taken or none, a wrong number of days or a file that cannot take a table changes nothing."""
    put(file, content)

    with pytest.raises(InvalidInput, match=words):
        make_token(file, name, "label", days)

    assert file.read_text() == content


def test_tokens_that_are_made_together_are_all_kept(file: Path) -> None:
    """Several that add a token to one file wait for each other."""
    threads = [threading.Thread(target=make_token, args=(file, f"t{n}", "search", None)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert {one.name for one in read_tokens(file)} == {f"t{n}" for n in range(8)}
    assert len(tomllib.loads(file.read_text())["token"]) == 8
