"""Tests of artifacts/networks/manifest.py: a sealed record comes back as it was, or not at all."""

import hashlib
import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import ArtifactRefused
from artifacts.networks.gru_records import GoldenRow, GruManifest, GruReport
from artifacts.networks.manifest import ZERO_SHA256, Current, ModelRecord, Sealed, Served, seal, unseal
from artifacts.networks.simple_nn import SimpleNNManifest
from tests.conftest import FIXTURE_STORE

RECORDS: list[tuple[Path, type[Sealed]]] = [
    (FIXTURE_STORE / "puppet-o2" / "model.json", ModelRecord),
    (FIXTURE_STORE / "puppet-o2" / "current", Current),
    (FIXTURE_STORE / "puppet-o2" / "1" / "manifest.json", GruManifest),
    (FIXTURE_STORE / "prices" / "1" / "manifest.json", SimpleNNManifest),
]
of_each_record = pytest.mark.parametrize(("path", "type_"), RECORDS, ids=lambda value: getattr(value, "name", ""))

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,62}\Z")
NUMBERS = st.integers(-(2**63), 2**63 - 1)
MODEL_RECORDS = st.builds(ModelRecord, name=NAMES, neural_network_type=TEXTS, created=TEXTS, highest_version=NUMBERS)
CURRENTS = st.builds(Current, version=NUMBERS, history=st.lists(st.builds(Served, NUMBERS, TEXTS)))


def without_seal(record: Sealed) -> Sealed:
    """Return the record as it was before it was sealed."""
    return msgspec.structs.replace(record, sha256=ZERO_SHA256)


@given(st.one_of(MODEL_RECORDS, CURRENTS))
def test_sealed_record_comes_back(record: Sealed) -> None:
    """Whatever a record says, unsealing what was sealed gives it back."""
    assert without_seal(unseal(seal(record), type(record), "record")) == record


@of_each_record
def test_fixture_is_sealed_as_this_code_seals(path: Path, type_: type[Sealed]) -> None:
    """The committed files are what `seal` writes, member for member and space for space: the format has not drifted.

    But for the order of the members, which is the code's and not the format's.
    """
    raw = path.read_bytes()
    expected = json.loads(raw)

    again = seal(unseal(raw, type_, "record"))

    assert json.loads(again) | {"sha256": ""} == expected | {"sha256": ""}
    assert len(again) == len(msgspec.json.format(msgspec.json.encode(expected), indent=1))
    assert msgspec.json.format(raw, indent=1) == raw


@of_each_record
def test_order_of_members_does_not_matter(path: Path, type_: type[Sealed]) -> None:
    """A record whose members stand in another order, but for the seal, is the same record."""
    record = unseal(path.read_bytes(), type_, "record")
    members = json.loads(path.read_bytes())
    del members["sha256"]
    turned = json.dumps({"sha256": "0" * 64} | dict(reversed(members.items()))).encode()

    found = unseal(turned.replace(b"0" * 64, hashlib.sha256(turned).hexdigest().encode(), 1), type_, "record")

    assert without_seal(found) == without_seal(record)


@of_each_record
def test_seal_is_what_the_specification_says(path: Path, type_: type[Sealed]) -> None:
    """The first member is the SHA-256 of the file with 64 zeros in that place, checked here without our code."""
    raw = path.read_bytes()
    members = json.loads(raw)
    said = members["sha256"].encode()

    assert next(iter(members)) == "sha256"
    assert hashlib.sha256(raw.replace(said, b"0" * 64)).hexdigest().encode() == said


@of_each_record
def test_every_one_bit_flip_is_refused(path: Path, type_: type[Sealed]) -> None:
    """No single bit of a sealed file can change unnoticed, the seal's own digits included."""
    raw = path.read_bytes()

    for bit in range(8 * len(raw)):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ArtifactRefused):
            unseal(bytes(damaged), type_, "record")


@of_each_record
def test_record_of_another_length_is_refused(path: Path, type_: type[Sealed]) -> None:
    """A file cut anywhere, or with as little as a line feed after it, is refused."""
    raw = path.read_bytes()

    for damaged in [*(raw[:end] for end in range(len(raw))), raw + b"\n", b" " + raw, raw + raw]:
        with pytest.raises(ArtifactRefused):
            unseal(damaged, type_, "record")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"\xff",
        b"null",
        b"[" * 100_000,
        b'{"sha256":' + b"[" * 100_000,
        b'{"name":"m","neural_network_type":"GRU","created":""}',
        b'{"sha256":"' + b"0" * 64 + b'","name":"m","neural_network_type":"GRU","created":""}',
        b'{"sha256":"' + b"G" * 64 + b'","name":"m","neural_network_type":"GRU","created":""}',
    ],
)
def test_what_was_never_sealed_is_refused(raw: bytes) -> None:
    """Garbage, endless nesting, and a record without its seal are refused with the name of the file."""
    with pytest.raises(ArtifactRefused, match=r"m/model\.json"):
        unseal(raw, ModelRecord, "m/model.json")


def test_record_of_another_type_is_refused() -> None:
    """A sound seal is not enough: the file must be the record that is expected."""
    raw = seal(Current(version=1, history=[]))

    with pytest.raises(ArtifactRefused):
        unseal(raw, ModelRecord, "model.json")


def test_member_of_another_format_is_refused() -> None:
    """A record that says more than this program knows is refused, though its seal is sound: it may change the rest."""
    blank = seal(Current(version=1, history=[])).replace(b' "version"', b' "frozen": true,\n "version"')
    blank = re.sub(rb"[0-9a-f]{64}", b"0" * 64, blank)
    raw = blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode())

    with pytest.raises(ArtifactRefused, match="frozen"):
        unseal(raw, Current, "current")


@pytest.mark.parametrize("name", ["..", "A", "a/b", "", "a" * 64, "a\n"])
def test_record_cannot_hold_a_name_that_leaves_the_store(name: str) -> None:
    """The pattern of names holds inside a record too."""
    record = ModelRecord(name=name, neural_network_type="GRU", created="")

    with pytest.raises(ArtifactRefused):
        unseal(seal(record), ModelRecord, "model.json")


def test_manifest_tells_what_a_version_is() -> None:
    """The manifest agrees with the files beside it: sizes, hashes, categories, words, best epoch."""
    folder = FIXTURE_STORE / "puppet-o2" / "1"
    manifest = unseal((folder / "manifest.json").read_bytes(), GruManifest, "manifest")
    report = msgspec.json.decode((folder / "report.json").read_bytes(), type=GruReport)
    golden = msgspec.json.decode((folder / "golden.json").read_bytes(), type=list[GoldenRow])
    labels = json.loads((folder / "labels.json").read_bytes())

    for name, record in manifest.files.items():
        raw = (folder / name).read_bytes()
        assert (record.bytes, record.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert manifest.encoding.num_words == len(json.loads((folder / "vocab.json").read_bytes()))
    assert manifest.data.num_categories == len(labels) == len(golden[0].probabilities)
    assert manifest.data.num_train + manifest.data.num_validation == manifest.data.num_tickets
    assert manifest.parity.max_difference <= manifest.parity.tolerance
    assert 1 <= report.best_epoch <= len(report.epochs)
