"""The settings of the server, read once at the entry: defaults, then `PUPPET_*` of the environment, then options."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from artifacts.errors import Fault, InvalidInput, PuppetError
from artifacts.mail import MAX_MAIL_BYTES
from artifacts.manifest import ModelName

PREFIX = "PUPPET_"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")

Bytes = Annotated[int, msgspec.Meta(ge=1)]
Secret = Annotated[str, msgspec.Meta(pattern=r"\A[!-~]*\Z")]  # what a client can send in a header after "Bearer "


class UnsafeAddress(PuppetError):
    """The server would listen to other machines without a token to ask them for."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set for the server; each field is also the environment variable PUPPET_ and its name in capitals.

    Attributes:
        host: address to listen on; another than loopback needs an admin token.
        port: to listen on; 0 takes any free one and prints it.
        store: folder that holds the models.
        trainer: local trains in a process beside the server, none refuses to train; auto is local where PyTorch is
            installed.
        default_model: that /predict asks when the body names none.
        admin_token: that create and train ask for, of printable ASCII without spaces; only from the environment,
            because other users see arguments.
        allowed_hosts: names, separated by commas, under which clients may call the server beside its own address.
        search_body_bytes: longest body of /search and /create_model, and of /predict as JSON.
        mail_body_bytes: longest e-mail that /predict takes, attachments included.
        test_body_bytes: longest body of /test.
        train_body_bytes: longest body of /train_model.
        train_timeout_s: seconds after which a training is ended; 1e7 (116 days) at most, a timer takes no infinity.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    store: str = "artifacts/models"
    trainer: Literal["auto", "local", "none"] = "auto"
    default_model: ModelName = "puppet-o2"
    admin_token: Secret = ""
    allowed_hosts: str = ""
    search_body_bytes: Bytes = 256 * 2**10
    mail_body_bytes: Bytes = MAX_MAIL_BYTES
    test_body_bytes: Bytes = 8 * 2**20
    train_body_bytes: Bytes = 256 * 2**20
    train_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=1e7)] = 4 * 3600.0

    @property
    def store_path(self) -> Path:
        """The store's folder."""
        return Path(self.store)

    @property
    def hosts(self) -> frozenset[str]:
        """The names that a request's Host header may have, without port."""
        named = (name.strip().lower() for name in self.allowed_hosts.split(","))
        own = f"[{self.host}]" if ":" in self.host else self.host
        return frozenset({*LOOPBACK_HOSTS, own.lower(), *(name for name in named if name)})


def read_settings(environment: Mapping[str, str], options: Mapping[str, object]) -> Settings:
    """Return the settings; an option that is None was not given.

    Raises:
        InvalidInput: an unknown PUPPET_ variable or a value outside its range, each named.
        UnsafeAddress: an address that other machines reach, without an admin token.
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
            expected = ", ".join(PREFIX + field.upper() for field in known)
            faults.append(Fault(PREFIX + name.upper(), f"is an unknown setting; expected one of {expected}"))
            continue
        try:
            values[name] = msgspec.convert(value, known[name].type, strict=False)
        except msgspec.ValidationError as error:
            shown = "a value that is not shown" if name == "admin_token" else repr(value)
            faults.append(Fault(PREFIX + name.upper(), f"{error}; found {shown}"))
    if faults:
        raise InvalidInput("the settings do not fit", faults)
    settings = msgspec.convert(values, Settings)
    if not settings.admin_token and not is_loopback(settings.host):
        raise UnsafeAddress(
            f"refusing to listen on {settings.host} without an admin token: anyone who reaches it could train models; "
            f"set PUPPET_ADMIN_TOKEN in the environment, or use --host 127.0.0.1"
        )
    return settings


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
