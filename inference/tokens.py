"""The named tokens of `tokens.toml`: read and checked, and a new one made.

    [[token]]
    name = "desk"
    role = "label"                        # search, label or admin
    sha256 = "9f86d081..."                # of the token, 64 digits; the token itself is nowhere
    expires = 2027-06-30                  # optional: a date (to the end of that day, UTC) or a time with its zone

The file holds digests only, so a copy of it, in a backup, opens nothing. A digest is as hard to invert as the token is
to guess: `make_token` takes 256 random bits, and a token of one's own must be as long.
"""

import errno
import hashlib
import os
import re
import secrets
import stat
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from artifacts.errors import Fault, InvalidInput
from artifacts.system.disk import flush, held_open, lock_folder, open_at_once, write
from artifacts.system.validation import decode, does_not_fit

FILE = "tokens.toml"  # in the store's folder, unless the setting `tokens_file` names another
MAX_FILE_BYTES = 2**20  # some 5,000 tokens
MAX_DAYS = 36_500
DAY_S = 86_400
RESERVED = "PUPPET_"  # the tokens of the environment go by the names of their variables
# RFC 3339: a date, or a date and a time with its zone; without one nobody could tell when it ends.
_EXPIRY = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d))?")

Role = Literal["search", "label", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")


class NamedToken(msgspec.Struct, frozen=True):
    """A token that is known by its digest.

    Attributes:
        name: of its holder, as the audit log shows it.
        role: what it opens.
        sha256: of the token, 64 hexadecimal digits in lower case.
        expires: seconds since 1970 (UTC) from which on it opens nothing; None: never.
    """

    name: str
    role: Role
    sha256: str
    expires: float | None = None

    def has_expired(self, now: float) -> bool:
        """Return whether it opens nothing any more at `now`, in seconds since 1970."""
        return self.expires is not None and now >= self.expires


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    role: Role
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-fA-F]{64}\Z", extra={"problem": "invalid-digest"})]
    expires: str = ""


def read_tokens(path: Path, *, may_be_missing: bool = False) -> tuple[NamedToken, ...]:
    """Return the tokens of a file, in its order.

    Args:
        path: of the file, which must belong to this user with mode 0600 or stricter.
        may_be_missing: whether no file means no token.
    Raises:
        InvalidInput: it cannot be read or used, with every fault; no digest is ever shown.
    """
    if may_be_missing and not os.path.lexists(path):
        return ()
    return _decoded(read_private(str(path), MAX_FILE_BYTES), path)


def make_token(path: Path, name: str, role: Role, days: int | None) -> str:
    """Return a new token, whose digest has been added to the file; the file is made if it is missing.

    What stands in the file stays as it is, comments too. The new file takes the place of the old one in one step, and
    two processes that add tokens wait for each other.

    Args:
        path: of the file; its folder is made with mode 0700 if it is missing.
        name: that no other token of the file has.
        role: what it opens.
        days: after which it opens nothing; None: never.
    Raises:
        InvalidInput: the name, the role or the number of days does not fit, or the file cannot be used; then it is as
            it was.
    """
    token = secrets.token_hex(32)
    lines = [f'name = "{name}"', f'role = "{role}"', f'sha256 = "{sha256_of(token)}"']
    if days is not None:
        if not 1 <= days <= MAX_DAYS:
            raise InvalidInput("token-days-out-of-range", days=days, limit_days=MAX_DAYS)
        ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
        lines.append(f"expires = {ends.isoformat().replace('+00:00', 'Z')}")
    _check_name(name)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with held_open(lock_folder(path.parent)):
            known = read_tokens(path, may_be_missing=True)
            if any(one.name == name for one in known):
                raise InvalidInput("token-exists", path=path, token_name=name)
            before = read_private(str(path), MAX_FILE_BYTES) if known or path.exists() else b""
            gap = b"" if not before else b"\n" if before.endswith(b"\n") else b"\n\n"
            after = before + gap + "\n".join(("[[token]]", *lines, "")).encode()
            _decoded(after, path)  # or a file that is written in another style would be broken by what is added
            part = path.with_name(f".{path.name}.part")
            part.unlink(missing_ok=True)  # a crash has left it
            write(part, after)
            os.replace(part, path)
            flush(path.parent)
    except OSError as error:
        raise InvalidInput("tokens-file-unwritable", path=path, reason=error.strerror) from error
    return token


def sha256_of(token: str) -> str:
    """Return the digest by which a token is known."""
    return hashlib.sha256(token.encode()).hexdigest()


def as_time(expires: float) -> str:
    """Return a time in seconds since 1970 as RFC 3339, UTC."""
    return datetime.fromtimestamp(expires, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def read_private(path: str, limit_bytes: int) -> bytes:
    """Return the bytes of a file that only this user can read, one more than the limit at most.

    Args:
        path: of the file.
        limit_bytes: of the file.
    Raises:
        InvalidInput: it cannot be read, or others may read it; the content is never shown.
    """
    try:
        with open(path, "rb", opener=open_at_once) as file:
            found = os.fstat(file.fileno())  # of the file that is open, so that none can take its place in between
            mode = stat.S_IMODE(found.st_mode)
            if not stat.S_ISREG(found.st_mode):
                raise InvalidInput("secret-file-not-regular", path=path)
            if found.st_uid != os.geteuid():
                raise InvalidInput("secret-file-of-another-user", path=path, owner=found.st_uid, user=os.geteuid())
            if mode & ~0o600:
                raise InvalidInput("secret-file-open-to-others", path=path, mode=f"{mode:04o}")
            return file.read(limit_bytes + 1)
    except ValueError as error:
        raise InvalidInput("secret-file-not-a-path", path=path) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InvalidInput("secret-file-is-a-link", path=path) from error
        raise InvalidInput("secret-file-unreadable", path=path, reason=error.strerror) from error


def _decoded(raw: bytes, path: Path) -> tuple[NamedToken, ...]:
    """Return the tokens that a file's bytes name.

    Raises:
        InvalidInput: with every fault.
    """
    if len(raw) > MAX_FILE_BYTES:
        raise InvalidInput("tokens-file-too-large", path=path, limit_bytes=MAX_FILE_BYTES)
    try:
        content = tomllib.loads(raw.decode())
    except ValueError as error:  # of TOML or of UTF-8; the message quotes neither a line nor a value
        raise InvalidInput("tokens-file-not-toml", path=path, reason=error) from error
    entries = content.pop("token", [])
    if content:
        raise InvalidInput("tokens-file-other-keys", path=path, found=list(content))
    if not isinstance(entries, list):
        raise InvalidInput("tokens-file-not-tables", path=path)
    tokens: list[NamedToken] = []
    faults: list[Fault] = []
    for number, entry in enumerate(entries):
        try:
            tokens.append(_token(entry, f"/token/{number}"))
        except InvalidInput as error:
            faults += error.faults
            continue
        for other in tokens[:-1]:
            if other.name == tokens[-1].name:
                faults.append(Fault.of(f"/token/{number}/name", "token-name-twice", token_name=other.name))
            if other.sha256 == tokens[-1].sha256:
                faults.append(Fault.of(f"/token/{number}/sha256", "token-digest-twice", token_name=other.name))
    if faults:
        raise InvalidInput("named-tokens-do-not-fit", faults, path=path, num_faults=len(faults))
    return tuple(tokens)


def _token(entry: object, pointer: str) -> NamedToken:
    """Return the token of one table, which stands at `pointer`.

    Raises:
        InvalidInput: with every fault; none shows a digest or a token.
    """
    if isinstance(entry, dict):  # TOML has dates of its own
        entry = {key: value.isoformat() if isinstance(value, date) else value for key, value in entry.items()}
    found = decode(msgspec.json.encode(entry), _Entry, pointer=pointer)
    field = "name"
    try:
        _check_name(found.name)
        field = "expires"
        expires = _end_of(found.expires) if found.expires else None
    except InvalidInput as error:
        raise does_not_fit("token", [Fault.of_error(f"{pointer}/{field}", error)]) from error
    return NamedToken(found.name, found.role, found.sha256.lower(), expires)


def _end_of(expires: str) -> float:
    """Return when a token ends, in seconds since 1970; a date is the end of that day, UTC.

    Raises:
        InvalidInput: it is neither a date nor a time with its zone.
    """
    try:
        if not _EXPIRY.fullmatch(expires):
            raise ValueError
        found = datetime.fromisoformat(expires.upper())
        return found.timestamp() if found.tzinfo else found.replace(tzinfo=UTC).timestamp() + DAY_S
    except (ValueError, OverflowError) as error:
        raise InvalidInput("invalid-expiry", found=expires) from error


def _check_name(name: str) -> None:
    """Raise InvalidInput unless a token may have this name."""
    if not _NAME.fullmatch(name) or name.upper().startswith(RESERVED):
        raise InvalidInput("invalid-token-name", token_name=name)
