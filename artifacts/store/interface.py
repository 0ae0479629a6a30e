"""What every kind of store promises: `Store` keeps models in a folder of this machine; a bucket would be another kind.

In: names, numbers, and the bytes of versions. Out: the same again, verified. Whoever serves, trains or lists models
asks for an `AnyStore` and gets along with these methods alone. What one machine has of a store beside its models
(corrections, jobs, counts of answers) needs a folder and its locks, so that asks for a `Store`.

Three promises hold for each kind:

A version is there as a whole or not at all. What `publish` has returned survives a kill and a power cut; of a version
that was not acknowledged nobody sees a part.

A number is given once. Name and number never mean two different versions, not even after a deletion.

What is read is verified. `read_version` returns bytes of the size and SHA-256 that the manifest says, or raises.
"""

import abc
from collections.abc import Hashable, Mapping
from contextlib import AbstractContextManager
from typing import TypeVar

from artifacts.errors import ArtifactRefused, ModelNotFound, ModelNotTrained, VersionNotFound
from artifacts.networks.manifest import Current, Manifest, ModelRecord
from artifacts.store.versions import MAX_NAMED

M = TypeVar("M", bound=Manifest)


class AnyStore(abc.ABC):
    """Models with their versions, wherever they are kept. Safe from several threads and processes.

    Attributes:
        where: the store as its user names it, for messages.
    """

    where: str

    # Reading

    @abc.abstractmethod
    def models(self) -> list[str]:
        """Return the names of the models, in order.

        Raises:
            OSError: the store cannot be listed now.
        """

    @abc.abstractmethod
    def read_model(self, name: str) -> ModelRecord:
        """Return the model's record.

        Raises:
            ModelNotFound, InvalidName, ArtifactRefused.
        """

    @abc.abstractmethod
    def versions(self, name: str) -> list[int]:
        """Return the numbers of the versions that are there, in order; their files are not checked.

        Raises:
            ModelNotFound, InvalidName.
        """

    @abc.abstractmethod
    def current(self, name: str) -> Current:
        """Return which version serves.

        Raises:
            ModelNotFound, ModelNotTrained, InvalidName, ArtifactRefused.
        """

    @abc.abstractmethod
    def stamp(self, name: str) -> Hashable | None:
        """Return what differs after each change of which version serves; None if nothing serves or it is unknown.

        Servers ask several times a second, so it costs much less than `current`.
        """

    @abc.abstractmethod
    def read_manifest(self, name: str, version: int) -> Manifest:
        """Return a version's manifest; its other files are not looked at, so only `read_version` makes it fit to serve.

        Raises:
            ArtifactRefused: it is missing, damaged, of an unknown format or kind, or of another version.
            InvalidName: `name` cannot name a model.
        """

    @abc.abstractmethod
    def read_version(self, name: str, version: int) -> tuple[Manifest, dict[str, bytes]]:
        """Return a version's manifest and the bytes of its files, each of the size and SHA-256 that it must have.

        Raises:
            ArtifactRefused: saying which file, what was found and what was expected.
            InvalidName: `name` cannot name a model.
        """

    # Writing. Whatever is raised, nothing visible has changed, but that a version's number may have been used up.

    @abc.abstractmethod
    def create_model(self, name: str, kind: str) -> ModelRecord:
        """Record a new, untrained model, durably.

        Of a name that was deleted it goes on with the numbers: name and version never mean two different things.

        Raises:
            ModelExists, InvalidName, UnknownKind, StoreRefused.
            ArtifactRefused: the record of the deleted model is damaged.
        """

    @abc.abstractmethod
    def publish(
        self,
        manifest: M,
        files: Mapping[str, bytes],
        *,
        serve: bool = True,
        expected: int | None = None,
        guard: AbstractContextManager[object] | None = None,
    ) -> M:
        """Write a version, make it the serving one, and return its manifest once both are durable.

        Args:
            manifest: complete but for `version` and `files`, which are filled in here.
            files: name -> bytes, just those that the model's kind has.
            serve: whether it is to serve; if not, it is only there to be promoted.
            expected: compare-and-set: serve only if this version is current (0: none); None: in place of any.
            guard: entered when all is written and nothing visible yet, left when all is visible. An error of its
                entry or of its exit takes the version back, so a transaction that may not commit can be the guard.
                Whoever holds the guard must not wait for another change of the same model.
        Raises:
            StoreRefused: the store is full, read-only or failing.
            ModelNotFound, ArtifactRefused, and what the guard raises.
        """

    @abc.abstractmethod
    def promote(self, name: str, version: int, *, expected: int | None = None) -> Current:
        """Make a version the serving one, and return the new pointer once it is durable.

        Sizes and hashes of its files are checked first; the graph is not run (`artifacts.kinds.load` does that). The
        version that serves already stays so, and nothing is written. A pointer that is damaged is replaced.

        Args:
            name: of the model.
            version: that is to serve.
            expected: the version that the caller believes to serve; a guard against two who decide at once.
        Raises:
            VersionNotFound, ArtifactRefused (the version is damaged), ModelNotFound, InvalidName, StoreRefused.
            VersionChanged: another version than `expected` serves, or none.
        """

    @abc.abstractmethod
    def rollback(self, name: str) -> Current:
        """Serve the version that served before the present one, and return the new pointer once it is durable.

        Which one that is, `version_before` says; a second rollback goes on to the one before that, never back again.

        Raises:
            NothingToRollBack: none that served before is still there.
            ArtifactRefused: the pointer or that version is damaged; `promote` can name another one.
            ModelNotFound, ModelNotTrained, InvalidName, StoreRefused.
        """

    @abc.abstractmethod
    def delete_version(self, name: str, version: int) -> None:
        """Delete a version, durably; its number is not given again.

        Raises:
            VersionServes: it is the serving one.
            VersionNotFound, ModelNotFound, InvalidName, StoreRefused.
            ArtifactRefused: the pointer is damaged, so it cannot be told what serves.
        """

    @abc.abstractmethod
    def delete_model(self, name: str) -> None:
        """Delete a model with all its versions, durably; a damaged one too.

        What stays is its name and highest number, for the case that it is created again.

        Raises:
            ModelNotFound, InvalidName, StoreRefused.
        """

    @abc.abstractmethod
    def prune(self, name: str, keep: int) -> list[int]:
        """Delete all versions but the newest `keep`, durably, and return the numbers of those deleted.

        The serving version and the one that a rollback would serve stay too, however old. An error deletes none; a
        crash may have deleted some.

        Raises:
            InvalidInput: `keep` is negative.
            ModelNotFound, InvalidName, StoreRefused.
            ArtifactRefused: the pointer is damaged, so it cannot be told what serves.
        """

    @abc.abstractmethod
    def sweep(self) -> list[str]:
        """Remove what crashes have left and nobody can see, and return a sentence for each thing done or found.

        What a living process is writing is left alone; so this may run at any time, also twice at once.

        Raises:
            StoreRefused: the store cannot be listed.
        """

    # What follows from these, for every kind alike

    def check_version(self, name: str, version: int) -> None:
        """Raise VersionNotFound unless the version is there; its files are not checked.

        Raises:
            VersionNotFound, ModelNotFound, InvalidName.
        """
        versions = self.versions(name)
        if version not in versions:
            raise VersionNotFound(
                "version-not-found",
                model=name,
                version=version,
                versions=versions[-MAX_NAMED:],
                num_versions=len(versions),
            )

    def serving(self, name: str) -> int | None:
        """Return the version that the pointer names; None if there is no pointer, or none that can be read.

        Raises:
            ModelNotFound, InvalidName.
        """
        current = self.sound_pointer(name)
        return current.version if current else None

    def sound_pointer(self, name: str) -> Current | None:
        """Return the pointer; None if there is none or it is damaged, for then a sound one is to replace it."""
        try:
            return self.current(name)
        except (ModelNotTrained, ArtifactRefused):
            return None

    def certain_pointer(self, name: str) -> Current | None:
        """Return the pointer; None if there is none; a damaged one is raised, for whoever deletes must not guess."""
        try:
            return self.current(name)
        except ModelNotTrained:
            return None

    def made_by(self, name: str, job: str, attempt: int) -> Manifest | None:
        """Return the manifest of the version that a run of a training has published; None if there is no whole one.

        So a job whose process died after it had published is known to have succeeded.
        """
        try:
            versions = self.versions(name)
        except ModelNotFound:
            return None
        for version in reversed(versions):
            try:
                manifest = self.read_manifest(name, version)
                if (manifest.job, manifest.attempt) == (job, attempt):
                    return self.read_version(name, version)[0]
            except ArtifactRefused:
                continue  # a version that nobody can read is nobody's
        return None
