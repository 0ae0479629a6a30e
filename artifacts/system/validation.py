"""From bytes that somebody sent to Structs, with every fault located.

msgspec stops at the first fault, which makes a person mend a file of tickets one run at a time. So: the fast decode
first, and only when it fails a slow walk over the same bytes that decodes each field and element on its own and notes
what does not fit. The walk never builds untyped objects from untrusted bytes (`msgspec.Raw` keeps them as bytes).
"""

import codecs
import re
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypeVar, Union

import msgspec

from artifacts.errors import Fault, InvalidInput

MAX_FAULTS_SHOWN = 20
# An emoji is two escapes in JSON, a high and a low one; what cuts a text by its UTF-16 units leaves one of them, which
# msgspec calls truncated data. Escapes are read from left to right: a pair, a half (the group), or any other, such as
# that of a backslash.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_MARK = rb"\ufdd0"  # as long as the escape, and a code point that no text may hold, so it marks the place

T = TypeVar("T")

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


_decoders: dict[Any, Any] = {}


def decoder_of(type_: type[T]) -> msgspec.json.Decoder[T]:
    """Return the strict decoder of a type; there is one for each, made when it is first asked for."""
    decoder: msgspec.json.Decoder[T] | None = _decoders.get(type_)
    if decoder is None:
        decoder = _decoders[type_] = msgspec.json.Decoder(type_)
    return decoder


def decode(raw: bytes | msgspec.Raw, type_: type[T], what: str = "body", pointer: str = "") -> T:
    """Return `raw` as a `type_`, strictly.

    Args:
        raw: JSON in UTF-8.
        type_: a Struct type.
        what: how the message calls the input.
        pointer: JSON Pointer of `raw` within the whole input.
    Raises:
        InvalidInput: with the first 20 faults and their number.
    """
    try:
        return decoder_of(type_).decode(raw)
    except _UNREADABLE:
        pass
    shown: list[Fault] = []
    num_faults = 0
    for fault in find_faults(raw, type_, pointer):  # one by one: a body of nothing but faults would fill the memory
        num_faults += 1
        if num_faults <= MAX_FAULTS_SHOWN:
            shown.append(fault)
    raise does_not_fit(what, shown, num_faults)


def does_not_fit(what: str, shown: Sequence[Fault], num_faults: int | None = None) -> InvalidInput:
    """Return the refusal of an input for its faults, which says how many there are and how many of them are listed."""
    num_faults = len(shown) if num_faults is None else num_faults
    if num_faults > MAX_FAULTS_SHOWN:
        return InvalidInput("too-many-faults", shown, num_faults, what=what, count=num_faults, listed=MAX_FAULTS_SHOWN)
    return InvalidInput("does-not-fit", shown, num_faults, what=what, count=num_faults)


def find_faults(raw: bytes | msgspec.Raw, type_: Any, pointer: str = "") -> Iterator[Fault]:
    """Yield each fault of `raw` against `type_`, in the order of the type's fields; nothing if it fits.

    Args:
        raw: JSON in UTF-8.
        type_: a Struct type, `list[...]`, a union with None, or a type that msgspec knows.
        pointer: JSON Pointer of `raw` within the whole input.
    """
    if not bytes(raw).strip():
        yield Fault.of(pointer, "empty-json")
        return
    try:
        msgspec.json.decode(raw, type=type_)
        return
    except msgspec.ValidationError as error:
        whole = invalid(pointer, str(error).split(" - at `")[0], type_)  # the pointer says where
    except _UNREADABLE as error:
        if not holds_half(raw):
            yield _unreadable(error, pointer, raw)
            return
        whole = Fault.of(pointer, "lone-surrogate")
    if holds_half(raw):
        yield from find_halves(marked(raw), pointer)
        yield from find_faults(marked(raw), type_, pointer)
        return
    num_inner = 0
    try:
        for fault in _inner_faults(raw, _unwrapped(type_), pointer):
            num_inner += 1
            yield fault
    except _UNREADABLE as error:  # the JSON itself breaks off, past the first fault
        yield _unreadable(error, pointer, raw)
        return
    if not num_inner:
        yield whole


def find_halves(raw: bytes | msgspec.Raw, pointer: str = "") -> Iterator[Fault]:
    """Yield a fault for each string that holds half of an emoji.

    Args:
        raw: from `marked`.
        pointer: JSON Pointer of `raw` within the whole input.
    """
    text = bytes(raw).lstrip()
    if _MARK not in text:
        return
    try:
        if text.startswith(b"{"):
            for name, value in _members.decode(raw).items():
                yield from find_halves(value, f"{pointer}/{name}")
        elif text.startswith(b"["):
            for index, value in enumerate(_elements.decode(raw)):
                yield from find_halves(value, f"{pointer}/{index}")
        else:
            yield Fault.of(pointer, "lone-surrogate")
    except _UNREADABLE as error:
        yield _unreadable(error, pointer)


def marked(raw: bytes | msgspec.Raw) -> bytes:
    """Return JSON with a mark in the place of each half of an emoji, so that the rest of it can be read."""
    return _ESCAPE.sub(lambda escape: _MARK if escape[1] else escape[0], bytes(raw))


def holds_half(raw: bytes | msgspec.Raw) -> bool:
    """Return whether a string of JSON holds half of an emoji."""
    return any(escape[1] for escape in _ESCAPE.finditer(bytes(raw)))


def _unreadable(error: Exception, pointer: str, raw: bytes | msgspec.Raw = b"") -> Fault:
    """Return why bytes are not JSON, and where programs on Windows write them, the likely reason."""
    start = bytes(raw[:4]) if isinstance(raw, bytes) else b""
    if start.startswith(codecs.BOM_UTF8):
        return Fault.of(pointer, "byte-order-mark")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or (len(start) > 1 and 0 in start[:2]):
        return Fault.of(pointer, "utf-16")
    if isinstance(error, RecursionError):
        return Fault.of(pointer, "nested-too-deeply")
    if isinstance(error, UnicodeDecodeError):
        return Fault.of(pointer, "not-utf-8")
    return Fault.of(pointer, "not-json", reason=error)


# What msgspec says of a value that does not fit, and the type of problem that it is. The names of the groups are the
# parameters.
_INVALID = (
    (re.compile(r"Expected `(?P<expected>.*)`, got `(?P<found>.*)`"), "wrong-type"),
    (re.compile(r"Expected `(?P<expected>.*)` (?P<limit>(?:[<>]=?|that's a multiple of) .*)"), "out-of-range"),
    (re.compile(r"Expected `(?P<expected>.*)` of length (?P<limit>.*)"), "wrong-length"),
    (re.compile(r"Expected `(?P<expected>.*)` matching regex (?P<limit>.*)"), "wrong-pattern"),
    (re.compile(r"expected exactly one of (?P<known>`.*`)"), "not-exactly-one"),  # what our own Structs check
    (re.compile(r"Invalid enum value (?P<found>.*)"), "unknown-choice"),
)


def invalid(pointer: str, reason: str, type_: Any) -> Fault:
    """Return the fault for what msgspec says of a value.

    Args:
        pointer: where it stands.
        reason: msgspec's sentence, without the place.
        type_: that was expected. `Meta(extra={"problem": ...})` names the problem of a pattern, which a regular
            expression explains to nobody.
    """
    for pattern, type_of_problem in _INVALID:
        if found := pattern.fullmatch(reason):
            if type_of_problem == "wrong-pattern" and (named := _named(type_)):
                return Fault.of(pointer, named)
            if type_of_problem == "unknown-choice":
                known = [str(one) for one in typing.get_args(_unwrapped(type_))]
                return Fault.of(pointer, "unknown-choice", known=known, **found.groupdict())
            return Fault.of(pointer, type_of_problem, **found.groupdict())
    return Fault.of(pointer, "not-valid", reason=reason)


def _named(type_: Any) -> str | None:
    """Return the problem that a type names for what does not fit its pattern; None if it names none."""
    for one in typing.get_args(type_):
        found = one.extra.get("problem") if isinstance(one, msgspec.Meta) and one.extra else _named(one)
        if found:
            return str(found)
    return None


def _unwrapped(type_: Any) -> Any:
    """Return `X` of `Annotated[X, ...]`, `X | None` and `X | UnsetType`; any other type as it is."""
    if typing.get_origin(type_) is Annotated:
        return _unwrapped(typing.get_args(type_)[0])
    if typing.get_origin(type_) in (Union, types.UnionType):
        rest = [arm for arm in typing.get_args(type_) if arm not in (types.NoneType, msgspec.UnsetType)]
        return _unwrapped(rest[0]) if len(rest) == 1 else type_
    return type_


def _inner_faults(raw: bytes | msgspec.Raw, type_: Any, pointer: str) -> Iterator[Fault]:
    """Yield the faults inside an object or an array; nothing if `raw` is of another JSON type than `type_`."""
    if typing.get_origin(type_) is list:
        try:
            elements = _elements.decode(raw)
        except msgspec.ValidationError:
            return
        for index, element in enumerate(elements):
            yield from find_faults(element, typing.get_args(type_)[0], f"{pointer}/{index}")
    elif isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        try:
            members = _members.decode(raw)
        except msgspec.ValidationError:
            return
        fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
        for name, field in fields.items():
            if name in members:
                yield from find_faults(members[name], field.type, f"{pointer}/{name}")
            elif field.required:
                yield Fault.of(f"{pointer}/{name}", "missing-field")
        if type_.__struct_config__.forbid_unknown_fields:
            for name in members:
                if name not in fields:
                    escaped = name.replace("~", "~0").replace("/", "~1")
                    yield Fault.of(f"{pointer}/{escaped}", "unknown-field", known=list(fields))
