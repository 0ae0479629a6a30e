"""Tests of artifacts/system/validation.py: every fault of a body is found and located."""

import itertools
import json
import tracemalloc
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import Fault, InvalidInput
from artifacts.networks.manifest import ModelName
from artifacts.store.feedback import CorrectionId
from artifacts.system.validation import MAX_FAULTS_SHOWN, decode, find_faults
from artifacts.text.tickets import Ticket


class Row(msgspec.Struct, frozen=True):
    """A row that takes unknown fields, as a ticket does."""

    category: str
    tokens: list[str] | None = None


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A nested object with a range."""

    epochs: Annotated[int, msgspec.Meta(ge=1)] = 1
    share: float = 0.1


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"kind": "neural_network_type"}):
    """A body with every shape that our bodies have."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z]+$")]
    kind: str
    rows: list[Row]
    limits: Limits | None = None
    vectors: list[list[str]] | msgspec.UnsetType = msgspec.UNSET


GOOD = {"name": "a", "neural_network_type": "GRU", "rows": [{"category": "x", "tokens": ["y"]}]}


def faults_of(raw: bytes) -> dict[str, str]:
    """Return pointer -> detail of a body that is refused."""
    with pytest.raises(InvalidInput) as refused:
        decode(raw, Body)
    assert refused.value.num_faults == len(refused.value.faults)
    return {fault.pointer: fault.detail for fault in refused.value.faults}


def faults_or_none(raw: bytes) -> tuple[int, int]:
    """Return how many faults a body has and how many of them are listed; 0 and -1 for a refusal without any."""
    try:
        decode(raw, Body)
    except InvalidInput as refused:
        return refused.num_faults, len(refused.faults) or -1
    return 0, 0


def with_changes(**changes: object) -> bytes:
    """Return a good body with some members changed."""
    return json.dumps(GOOD | changes).encode()


def test_good_body_is_decoded() -> None:
    """A body that fits comes back as its Struct."""
    assert decode(with_changes(), Body) == Body("a", "GRU", [Row("x", ["y"])])


def test_every_fault_is_found_and_located() -> None:
    """One body with a fault of each sort gives one JSON Pointer for each, in the order of the fields."""
    raw = with_changes(
        name="A1",
        neural_network_type=None,
        rows=[{"category": "x"}, {"category": 5, "tokens": ["y", 6, None]}, {"tokens": "y"}, [], {}],
        limits={"epochs": 0, "share": "x", "ephocs": 3},
        vectors=[["a"], [1, "b", []]],
        extra=1,
    )

    found = faults_of(raw)

    assert list(found) == [
        "/name",
        "/neural_network_type",
        "/rows/1/category",
        "/rows/1/tokens/1",
        "/rows/1/tokens/2",
        "/rows/2/category",
        "/rows/2/tokens",
        "/rows/3",
        "/rows/4/category",
        "/limits/epochs",
        "/limits/share",
        "/limits/ephocs",
        "/vectors/1/0",
        "/vectors/1/2",
        "/extra",
    ]
    assert found["/rows/1/category"] == "Expected `str`, got `int`; send a value of that type"
    assert found["/rows/2/category"] == "is missing; add it"
    assert found["/rows/3"] == "Expected `object`, got `array`; send a value of that type"
    assert found["/limits/epochs"] == "Expected `int` >= 1; send a number within the limit"
    assert (
        found["/limits/ephocs"] == "is an unknown field, expected one of epochs, share; correct the name, or remove it"
    )
    assert "neural_network_type" in found["/extra"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{}", ["/name", "/neural_network_type", "/rows"]),
        (b"[]", [""]),
        (b"null", [""]),
        (b"3", [""]),
        (with_changes(rows=None), ["/rows"]),
        (with_changes(rows={}), ["/rows"]),
        (with_changes(limits=None, vectors=None), ["/vectors"]),
        (with_changes(limits=[]), ["/limits"]),
        (with_changes(**{"a/b~c": 1}), ["/a~1b~0c"]),
    ],
)
def test_pointer_of_a_fault(raw: bytes, expected: list[str]) -> None:
    """Missing, null, of another type, and an unknown field whose name needs escapes (RFC 6901)."""
    assert list(faults_of(raw)) == expected


def test_fault_between_fields_belongs_to_the_object() -> None:
    """What a Struct checks across its fields is a fault of the object as a whole."""
    rows = b'[{"category":"x","tokens":["y"]},{"category":"x"},{"category":" ","text":"y"}]'

    found = list(find_faults(rows, list[Ticket], "/test_data"))

    assert [fault.pointer for fault in found] == ["/test_data/1", "/test_data/2"]
    assert "exactly one of `tokens`, `text`, `email_text`" in found[0].detail
    assert "blank" in found[1].detail


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"", "is empty; expected JSON"),
        (b" \r\n\t", "is empty; expected JSON"),
        (b"{", "is not valid JSON"),
        (b"{'name': 1}", "is not valid JSON"),
        (b'{"name":"a"} x', "is not valid JSON"),
        (b'\xef\xbb\xbf{"name":"a"}', "begins with a byte order mark"),
        (b'{"name":NaN}', "is not valid JSON"),
        (b'{"name":"\\ud800"}', "holds half of an emoji (a lone surrogate"),
        (b'{"name":"\xff"}', "is not valid UTF-8"),
        (b'{"name":"\xed\xa0\x80"}', "is not valid UTF-8"),
        (b'{"rows":' + b"[" * 100_000, "is nested too deeply"),
        (b'{"limits":null,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is nested too deeply"),
        (b"[" * 100_000, "Expected `object`, got `array`"),
        (b'{"a":' * 100_000, "is nested too deeply"),
        # The JSON breaks off past a first fault, which a decoder that stops at the first does not see.
        (b'{"name":5,"x":}', "is not valid JSON"),
        (b'{"name":5,"\xff":1}', "is not valid UTF-8"),
        (b'{"name":5,"x":"\\ud800"}', "holds half of an emoji (a lone surrogate"),
        (b'{"name":5,"x":' + b"[" * 100_000, "is nested too deeply"),
        (b'{"name":5,"rows":[1,2', "is not valid JSON"),
    ],
)
def test_bytes_that_are_no_json_are_one_fault(raw: bytes, detail: str) -> None:
    """Empty, broken, wrongly encoded or endlessly nested bytes are a fault like any other, never another exception."""
    with pytest.raises(InvalidInput) as refused:
        decode(raw, Body)

    assert detail in " ".join(fault.detail for fault in refused.value.faults)


@pytest.mark.parametrize(
    ("text", "is_half"),
    [
        (rb"\ud83d", True), (rb"a\ud83d b", True), (rb"\ude00", True), (rb"\ud83d\ud83d\ude00", True),
        (rb"\ud83d\ude00", False), (rb"\\ud83d", False), (rb"\\\ud83d", True), (rb"\u00e9\uD83D\uDE00", False),
    ],
)  # fmt: skip
def test_half_of_an_emoji_is_named_in_its_field(text: bytes, is_half: bool) -> None:
    """A pair is whole, a backslash before it may be a letter, and the other faults of the body are still found."""
    raw = b'{"name":5,"rows":["' + text + b'"]}'

    found = list(find_faults(raw, Body))

    halves = [fault.pointer for fault in found if "half of an emoji" in fault.detail]
    assert halves == (["/rows/0"] if is_half else [])
    assert "/name" in [fault.pointer for fault in found]


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" * 5000, b"0", b"1.0", b"true"])
def test_numbers_out_of_range_are_located(number: bytes) -> None:
    """A number that no float or no int of ours can be is a fault of its field."""
    raw = with_changes(limits="@").replace(b'"@"', b'{"epochs":' + number + b"}")

    assert list(faults_of(raw)) == ["/limits/epochs"]


@pytest.mark.parametrize("num_faults", [1, MAX_FAULTS_SHOWN, MAX_FAULTS_SHOWN + 1, 3000])
def test_twenty_faults_are_shown_and_all_are_counted(num_faults: int) -> None:
    """The first 20 faults are listed in order, and the number of all is told."""
    raw = with_changes(rows=[{"category": index} for index in range(num_faults)])

    with pytest.raises(InvalidInput) as refused:
        decode(raw, Body, "the file")

    shown = min(num_faults, 20)
    assert refused.value.num_faults == num_faults
    assert [fault.pointer for fault in refused.value.faults] == [f"/rows/{i}/category" for i in range(shown)]
    assert str(refused.value).startswith(f"the file does not fit: {num_faults} fault")


def test_body_of_nothing_but_faults_does_not_fill_the_memory() -> None:
    """Of 20,000 faults 20 are kept, in 1.3 MB; all of them would take 5.4 MB."""
    raw = b'{"name":"a","neural_network_type":"GRU","rows":[],"vectors":[[' + b"0," * 20_000 + b"0]]}"
    tracemalloc.start()

    with pytest.raises(InvalidInput) as refused:
        decode(raw, Body)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused.value.num_faults == 20_001
    assert peak < 2.5e6


def test_fault_says_where() -> None:
    """A fault reads as its line, its pointer and what is wrong."""
    assert str(Fault("/tokens/3", "is missing", 17)) == "line 17, /tokens/3: is missing"
    assert str(Fault("", "is empty")) == "(whole row): is empty"


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_refused(raw: bytes) -> None:
    """No bytes raise anything but InvalidInput, which then has a fault."""
    num_found, num_shown = faults_or_none(raw)

    assert (num_found, num_shown) == (0, 0) or num_found >= num_shown >= 1


FRAGMENTS = [b"{", b"}", b"[", b"]", b",", b":", b"null", b"1", b"1e999", b'"\xff"', b'"\\ud800"', b'"a"', b" ", b"NaN"]
FRAGMENTS += [b'{"name":', b'"rows":[', b'{"category":', b'"tokens":[', b'"limits":{', b'"epochs":', b'"vectors":[[']


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25).map(b"".join))
def test_any_pieces_of_a_body_decode_or_are_refused(raw: bytes) -> None:
    """The same for bytes that look like one of our bodies, cut and shuffled."""
    num_found, num_shown = faults_or_none(raw)

    assert (num_found, num_shown) == (0, 0) or num_found >= num_shown >= 1


def test_a_body_cut_anywhere_is_refused() -> None:
    """Every beginning of a body with a fault is refused as well."""
    raw = with_changes(name=5, limits={"epochs": "é"})

    for end in itertools.chain(range(len(raw)), [len(raw)]):
        with pytest.raises(InvalidInput):
            decode(raw[:end], Body)


@pytest.mark.parametrize("wrapped", [CorrectionId, CorrectionId | None, list[CorrectionId]])
def test_pattern_is_said_in_words(wrapped: Any) -> None:
    """A text that breaks a pattern is answered with what it should be, and not with a regular expression."""
    raw = b'["INC/2031/7"]' if wrapped == list[CorrectionId] else b'"INC/2031/7"'

    (fault,) = find_faults(raw, wrapped)

    assert "without a slash" in fault.detail
    assert "regex" not in fault.detail


def test_every_pattern_of_the_wire_has_words() -> None:
    """Each type with a pattern that a request may hold says in words what fits it."""
    for type_ in (ModelName, CorrectionId):
        (fault,) = find_faults(b'"/"', type_)
        assert "regex" not in fault.detail


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\xef\xbb\xbf[1]", "byte order mark"),
        ("[1]".encode("utf-16"), "UTF-16"),
        ("[1]".encode("utf-16-be"), "UTF-16"),
        ("[1]".encode("utf-32-le"), "UTF-16 or UTF-32"),
    ],
)
def test_encoding_of_windows_is_named(raw: bytes, words: str) -> None:
    """A byte order mark and UTF-16 are called by their names, whatever is behind them."""
    (fault,) = find_faults(raw, list[int])

    assert words in fault.detail
