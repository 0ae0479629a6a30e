"""The settings of the server, read once at the entry: defaults, then `PUPPET_*` of the environment, then options."""

import functools
import ipaddress
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from artifacts.errors import Fault, InvalidInput, PuppetError
from artifacts.mail.message import MAX_MAIL_BYTES
from artifacts.networks.engines.build import EngineChoice
from artifacts.networks.manifest import ModelName
from inference.tokens import FILE, NamedToken, Role, read_private, read_tokens, sha256_of

PREFIX = "PUPPET_"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
TOKENS = ("admin_token", "search_token")
MIN_TOKEN_CHARACTERS = 16  # where others reach the server; of random hex that is 64 bits, nobody guesses those online
MAX_TOKEN_FILE_BYTES = 4096

Bytes = Annotated[int, msgspec.Meta(ge=1)]
Secret = Annotated[str, msgspec.Meta(pattern=r"\A[!-~]*\Z")]  # what a client can send in a header after "Bearer "


class UnsafeAddress(PuppetError):
    """The server would listen to other machines without two tokens to ask them for that cannot be guessed."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set for the server; each field is also the environment variable PUPPET_ and its name in capitals.

    Attributes:
        host: address to listen on; another than loopback needs both tokens, of 16 characters at least.
        port: to listen on; 0 takes any free one and prints it.
        workers: processes that answer; one per core is the most that is of use.
        store: folder that holds the models.
        docs: folder of the chapters as a site, which `make docs` writes; it is served under /docs/.
        engine: that answers: onnxruntime, or fused, a kernel of this project that serves each version only once it has
            proven equal to onnxruntime; auto is fused where the kernel has been compiled.
        trainer: local trains in a process beside the server, none refuses to train; auto is local where PyTorch is
            installed.
        default_model: that /predict asks when the body names none.
        admin_token: that opens every route, of printable ASCII without spaces; from the environment or a file, because
            other users see arguments.
        admin_token_file: path of a file that holds the admin token: of this user, with mode 0600 or stricter, one line.
        search_token: that opens search, test and predict; while there is none, callers on this machine need none.
        search_token_file: path of a file that holds the search token, as above.
        tokens_file: path of the file of the named tokens, each with its role: of this user, with mode 0600 or
            stricter; without this setting tokens.toml in the store's folder, if it is there.
        feedback_role: role that posts corrections: label, or search as well.
        allowed_hosts: names, separated by commas, under which clients may call the server beside its own address.
        search_body_bytes: longest body of /search, /create_model and /feedback, and of /predict as JSON.
        mail_body_bytes: longest e-mail that /predict takes, attachments included.
        test_body_bytes: longest body of /test.
        train_body_bytes: longest body, or file, of a route that makes a job: /train_model, /inspect, /evaluate,
            /classify and /models/{name}/diff.
        unpacked_bytes: bytes that such a file may hold once it is unpacked.
        queue_limit: trainings that may wait, and as many jobs of other kinds; one more is refused.
        feedback_limit: corrections that a model may have; one more is refused.
        feedback_days: days after which a correction is erased; 0 keeps all of them until somebody erases them.
        jobs_days: days after which a training that has ended is erased from the jobs, with its log and with the body
            that was to be kept; 0 keeps the last 1000.
        files_hours: hours after the end of a job at which the file that was posted for it, and what it gave back, are
            erased.
        review: whether a model keeps tickets on which it abstained or was not sure until a person has labelled them;
            these are tickets with all that stands in them.
        review_days: days after that of its coming (UTC) for which such a ticket waits.
        review_limit: tickets of a model that may wait.
        train_after: new corrections after which a training that includes them is queued; 0 never does.
        train_from: where such a training starts: from nothing, or from the version that serves.
        search_queue_tokens: tokens of tickets that may wait in a worker, each request 20 more; what is beyond is
            refused with 503 at once.
        keep_versions: newest versions of a model that stay after a training; older ones are deleted, but never the
            serving one nor the one that a rollback would serve. 0 keeps all.
        audit_days: days for which the audit log keeps who changed what.
        drift_days: days for which is kept what /models/{name}/drift counts; 0 counts nothing.
        head_timeout_s: seconds in which the head of a request must have come, from the connection's beginning on.
        body_idle_timeout_s: seconds that may pass without a byte of a body that is coming in.
        body_bytes_s: bytes a second that a body must bring on the whole, after those seconds.
        keep_alive_s: seconds after which a connection is closed on which nothing is under way.
        max_connections: of a worker; beyond it the longest idle one is closed. 0: 10,000, or as many as there are file
            descriptors for.
        train_timeout_s: seconds after which a training is ended; 1e7 (116 days) at most, a timer takes no infinity.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    store: str = "artifacts/models"
    docs: str = "site"
    engine: EngineChoice = "onnxruntime"
    trainer: Literal["auto", "local", "none"] = "auto"
    default_model: ModelName = "puppet-o2"
    admin_token: Secret = ""
    admin_token_file: str = ""
    search_token: Secret = ""
    search_token_file: str = ""
    tokens_file: str = ""
    feedback_role: Literal["label", "search"] = "label"
    allowed_hosts: str = ""
    search_body_bytes: Bytes = 256 * 2**10
    mail_body_bytes: Bytes = MAX_MAIL_BYTES
    test_body_bytes: Bytes = 8 * 2**20
    train_body_bytes: Bytes = 256 * 2**20
    unpacked_bytes: Bytes = 2**30
    queue_limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 16
    feedback_limit: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 100_000
    feedback_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 0
    jobs_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 365
    files_hours: Annotated[int, msgspec.Meta(ge=1, le=8760)] = 24
    review: bool = False
    review_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 14
    review_limit: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 5000
    train_after: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0
    train_from: Literal["nothing", "serving"] = "nothing"
    search_queue_tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 4096
    keep_versions: Annotated[int, msgspec.Meta(ge=0)] = 0
    audit_days: Annotated[int, msgspec.Meta(ge=1, le=3660)] = 365
    drift_days: Annotated[int, msgspec.Meta(ge=0, le=366)] = 30
    head_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    body_idle_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 20.0
    body_bytes_s: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = 1024
    keep_alive_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 75.0
    max_connections: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    train_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=1e7)] = 4 * 3600.0

    @property
    def store_path(self) -> Path:
        """The store's folder."""
        return Path(self.store)

    @property
    def tokens_path(self) -> Path:
        """The file of the named tokens, there or not."""
        return Path(self.tokens_file) if self.tokens_file else self.store_path / FILE

    @property
    def own_tokens(self) -> tuple[NamedToken, ...]:
        """The tokens of the settings, by the names of their variables; those of the file are `named_tokens`."""
        roles: tuple[Role, Role] = ("admin", "search")
        given = [(role, getattr(self, f"{role}_token")) for role in roles]
        return tuple(
            NamedToken(f"{PREFIX}{role.upper()}_TOKEN", role, sha256_of(token)) for role, token in given if token
        )

    @property
    def shown(self) -> "Settings":
        """The same settings as they may be printed: of a token only whether it is set."""
        hidden = {name: "set" for name in TOKENS if getattr(self, name)}
        return msgspec.structs.replace(self, **hidden)

    @property
    def hosts(self) -> frozenset[str]:
        """The names that a request's Host header may have, without port."""
        named = (name.strip().lower() for name in self.allowed_hosts.split(","))
        own = f"[{self.host}]" if ":" in self.host else self.host
        return frozenset({*LOOPBACK_HOSTS, own.lower(), *(name for name in named if name)})


class Given(msgspec.Struct, frozen=True):
    """What a worker is given at its start: the settings, and the named tokens as they were last read."""

    settings: Settings
    tokens: tuple[NamedToken, ...] = ()


def read_settings(environment: Mapping[str, str], options: Mapping[str, object]) -> Settings:
    """Return the settings, with the tokens that stand in files; an option that is None was not given.

    Raises:
        InvalidInput: an unknown PUPPET_ variable, a value outside its range or a file of a token that cannot be used,
            each named.
        UnsafeAddress: an address that other machines reach, without both tokens, or with one that could be guessed.
    """
    known = {field.name: field for field in msgspec.structs.fields(Settings)}
    values: dict[str, object] = {}
    faults = []
    given: dict[str, object] = {
        name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)
    }
    given |= {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if name not in known:
            expected = [_variable(field) for field in known]
            faults.append(Fault.of(_variable(name), "unknown-setting", known=expected))
            continue
        try:
            values[name] = msgspec.convert(value, known[name].type, strict=False)
        except msgspec.ValidationError as error:
            faults.append(_fault_of_value(name, value, str(error), known[name].type))
    for name in TOKENS:
        variable, path = _variable(name), values.get(f"{name}_file")
        if path and given.get(name):
            faults.append(Fault.of(f"{variable}_FILE", "token-given-twice", variable=variable))
        elif path:
            try:
                values[name] = _read_token(str(path))
            except InvalidInput as error:
                faults.append(Fault.of_error(f"{variable}_FILE", error))
    if values.get("search_token") and values.get("search_token") == values.get("admin_token"):
        faults.append(Fault.of("PUPPET_SEARCH_TOKEN", "same-token-twice"))
    if faults:
        raise InvalidInput("settings-do-not-fit", faults, num_faults=len(faults))
    settings = msgspec.convert(values, Settings)
    if not is_loopback(settings.host):
        _check_tokens(settings, named_tokens(settings))
    return settings


def _fault_of_value(name: str, value: object, reason: str, type_: Any) -> Fault:
    """Return what is wrong with the value of a setting; `reason` is msgspec's, and a token is never shown."""
    variable = _variable(name)
    if name in TOKENS:
        return Fault.of(variable, "unprintable-token")
    if type_ is ModelName:
        return Fault.of(variable, "invalid-model-name", name=value)
    choices = [repr(choice) for choice in get_args(type_)] if get_origin(type_) is Literal else []
    expected = choices or reason.removeprefix("Expected ").partition(", got ")[0]
    return Fault.of(variable, "invalid-setting", found=value, expected=expected)


def named_tokens(settings: Settings) -> tuple[NamedToken, ...]:
    """Return the tokens of the file that the settings name; none where no setting names one and none is there.

    Raises:
        InvalidInput: the file cannot be read or used, or holds a token of the settings once more.
    """
    found = read_tokens(settings.tokens_path, may_be_missing=not settings.tokens_file)
    own = {one.sha256: one.name for one in settings.own_tokens}
    for one in found:
        if one.sha256 in own:  # it would have two names, and perhaps two roles
            raise InvalidInput("named-token-is-another", token_name=one.name, variable=own[one.sha256])
    return found


@functools.lru_cache(1024)  # each request asks about its peer, and reading an address takes 1.5 us
def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_tokens(settings: Settings, named: Sequence[NamedToken]) -> None:
    """Raise UnsafeAddress unless the tokens are fit for an address that other machines reach.

    A named token of a role stands for the variable of that role, unless it has expired. How long it is nobody knows
    here, where there is only its digest.

    Raises:
        UnsafeAddress: naming the tokens that are missing or short.
    """
    good = {f"{one.role}_token" for one in named if not one.has_expired(time.time())}
    missing = [_variable(name) for name in TOKENS if not getattr(settings, name) and name not in good]
    short = [_variable(name) for name in TOKENS if 0 < len(getattr(settings, name)) < MIN_TOKEN_CHARACTERS]
    if missing or short:
        raise UnsafeAddress(
            "unsafe-address", host=settings.host, missing=missing, short=short, limit=MIN_TOKEN_CHARACTERS
        )


def _variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def _read_token(path: str) -> str:
    """Return the token that stands in a file.

    Raises:
        InvalidInput: it cannot be read, others may read it, or it holds no token; the content is never shown.
    """
    raw = read_private(path, MAX_TOKEN_FILE_BYTES)
    token = raw.removesuffix(b"\n")
    if not token or len(raw) > MAX_TOKEN_FILE_BYTES or not all(33 <= byte <= 126 for byte in token):
        raise InvalidInput("token-file-without-token", path=path)
    return token.decode("ascii")
