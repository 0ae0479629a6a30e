"""A version as one file: the same bytes each time, and nothing comes out that was not proven."""

import zipfile
from pathlib import Path

import pytest

from artifacts.errors import ArtifactRefused, InvalidInput, PuppetError, VersionNotFound
from artifacts.store.bundle import pack, unpack
from artifacts.store.store import Store


@pytest.fixture
def packed(store: Store, tmp_path: Path) -> Path:
    """Give the fixture model as one file."""
    path = tmp_path / "version.zip"
    path.write_bytes(pack(store, "puppet-o2", 1))
    return path


def changed(path: Path, file: str, raw: bytes | None) -> Path:
    """Return a copy of an archive in which a file is another, or missing."""
    target = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for one in source.infolist():
            content = source.read(one) if not one.filename.endswith(f"/{file}") else raw
            if content is not None:
                copy.writestr(one.filename, content)
    return target


def test_version_comes_out_as_it_went_in(store: Store, packed: Path) -> None:
    """Manifest and files are those of the store, and packing again gives the same bytes."""
    assert unpack(packed) == store.read_version("puppet-o2", 1)
    assert pack(store, "puppet-o2", 1) == packed.read_bytes()


def test_version_that_is_not_there_is_not_packed(store: Store) -> None:
    """It is said as everywhere."""
    with pytest.raises(VersionNotFound):
        pack(store, "puppet-o2", 9)


@pytest.mark.parametrize("file", ["model.onnx", "labels.json", "vocab.json"])
@pytest.mark.parametrize("raw", [b"another", b"", None])
def test_file_that_is_another_is_refused(packed: Path, file: str, raw: bytes | None) -> None:
    """Whatever its checksum in the archive, which the sender writes."""
    with pytest.raises(PuppetError, match=file):
        unpack(changed(packed, file, raw))


def test_manifest_that_is_another_is_refused(packed: Path) -> None:
    """It carries its own hash, over the hashes of all files."""
    with zipfile.ZipFile(packed) as archive:
        raw = archive.read("puppet-o2/1/manifest.json")

    with pytest.raises(ArtifactRefused):
        unpack(changed(packed, "manifest.json", raw.replace(b'"seconds":', b'"seconds":1')))


@pytest.mark.parametrize("raw", [b"", b"PK", b"no archive at all", bytes(100)])
def test_file_that_is_no_archive_is_refused(tmp_path: Path, raw: bytes) -> None:
    """In one sentence."""
    (tmp_path / "version.zip").write_bytes(raw)

    with pytest.raises(InvalidInput, match="is a damaged zip file"):
        unpack(tmp_path / "version.zip")


def test_archive_without_a_manifest_is_refused(packed: Path) -> None:
    """Any other zip archive is no version."""
    with pytest.raises(InvalidInput, match=r"it lacks manifest\.json"):
        unpack(changed(packed, "manifest.json", None))
