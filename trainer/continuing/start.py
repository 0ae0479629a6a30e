"""Which version a training starts from, and whether it can: everything that is found out before torch is imported.

In: what was asked for, the store and the checked rows. Out: the version with what it has learnt from, which of the rows
are new to it; or a refusal that says what is in the way, and to train fully. What it leaves to others: the learning
(fit.py).
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np

from artifacts.errors import ArtifactRefused, InvalidInput, ModelNotTrained
from artifacts.kinds import load
from artifacts.networks.gru_records import GruManifest, encoding
from artifacts.networks.learnt import HASH_BYTES, read_trained_on, seen, why_unknown
from artifacts.networks.manifest import TrainedOn
from artifacts.store.store import Store
from trainer.config import TrainConfig
from trainer.data.tickets import Rows

MAX_NEW = 1000  # tickets; each is compared with each, so the time grows with their cube, and more were not tried
MAX_REMINDERS = 500  # tickets that the version knows, drawn at random; they hold the answers that are to stay
WHOLE = 0.9  # of what a version has learnt from; rows that hold so much of it can train it fully
# Settings that may differ from those of the version: they say nothing of what its network is made of.
FREE = frozenset(
    {
        *("min_count", "max_vocabulary", "forbid", "seed", "device", "threads", "processes", "target", "abstain"),
        *("recipe", "minutes", "folds", "full_after"),
    }
)


class Start(msgspec.Struct, frozen=True):
    """A version that a training starts from.

    Attributes:
        manifest: of the version.
        files: its verified files.
        learnt: what tells which rows it has learnt from.
    """

    manifest: GruManifest
    files: Mapping[str, bytes]
    learnt: TrainedOn

    @property
    def steps(self) -> int:
        """How often a version has been started from another since the last full training, this one included."""
        return self.manifest.started_from.steps + 1 if self.manifest.started_from is not None else 1

    @property
    def full_version(self) -> int:
        """The last version that was trained fully."""
        before = self.manifest.started_from
        return before.full_version if before is not None else self.manifest.version


class ChosenRows(msgspec.Struct, frozen=True):
    """The rows that are learnt from, by their numbers.

    Attributes:
        new: those that the version has not learnt from, and corrections that it does not answer rightly.
        reminders: of the others, as many as there is room for.
    """

    new: list[int]
    reminders: list[int]


def opened(store: Store, name: str, asked: Literal["serving"] | int) -> Start:
    """Return the version that a training is to start from.

    Args:
        store: where the model is.
        name: of the model.
        asked: the serving version, or the number of one.
    Raises:
        InvalidInput: none serves, or it is one that cannot learn on.
        ModelNotFound, VersionNotFound, ArtifactRefused.
    """
    if asked == "serving":
        try:
            version = store.current(name).version
        except ModelNotTrained as error:
            raise InvalidInput("nothing-to-start-from", model=name) from error
    else:
        store.check_version(name, asked)
        version = asked
    manifest, files = store.read_version(name, version)
    if not isinstance(manifest, GruManifest):
        raise InvalidInput("start-needs-gru", kind=manifest.neural_network_type)
    of_version = manifest.encoding
    if of_version != encoding(of_version.num_words, of_version.ngram_buckets):
        # Its words were made by other rules than those that would read the new tickets.
        ours = encoding(1, 1).text_rules
        raise InvalidInput("start-by-other-text-rules", version=version, found=of_version.text_rules, expected=ours)
    if manifest.training.get("linear_rank"):
        raise InvalidInput("start-with-low-rank", version=version, rank=manifest.training["linear_rank"])
    learnt = read_trained_on(manifest, files)
    if learnt is None:
        raise InvalidInput("start-without-list", version=version)
    return Start(manifest, files, learnt)


def check_settings(start: Start, config: TrainConfig) -> None:
    """Raise InvalidInput if a setting was asked for that only a full training can follow."""
    defaults, of_version = msgspec.structs.asdict(TrainConfig()), start.manifest.training
    other = [
        field
        for field, value in msgspec.structs.asdict(config).items()
        if field not in FREE and value != defaults[field] and value != of_version.get(field)
    ]
    if other:
        raise InvalidInput("start-with-other-settings", version=start.manifest.version, fields=other)


def is_full_training_due(start: Start, rows: Rows, full_after: int) -> bool:
    """Return whether it is time to train fully, and these rows can.

    Args:
        start: the version.
        rows: checked.
        full_after: versions in a row that may be started from another; 0: any number.
    Raises:
        InvalidInput: it is time, and the rows hold too little of what the version has learnt from.
    """
    if not full_after or start.steps <= full_after:
        return False
    share = share_held(start, rows)
    if share < WHOLE:
        raise InvalidInput(
            "full-training-due",
            version=start.manifest.version,
            full_version=start.full_version,
            steps=start.steps - 1,
            full_after=full_after,
            share=round(100 * share),
        )
    return True


def share_held(start: Start, rows: Rows) -> float:
    """Return the share of what a version has learnt from that is among these rows."""
    known = seen(rows.tickets, start.learnt) or []
    distinct = {tuple(tokens) for tokens, is_known in zip(rows.tokens, known, strict=False) if is_known}
    return len(distinct) / max(1, len(start.learnt.hashes) // HASH_BYTES)


def choose(start: Start, rows: Rows, seed: int) -> ChosenRows:
    """Return which rows are learnt from.

    Raises:
        InvalidInput: none is new, or too many are.
        ArtifactRefused: the version cannot be asked.
    """
    version = start.manifest.version
    known = seen(rows.tickets, start.learnt)
    if known is None:
        raise ArtifactRefused(
            "version-not-loadable", model=f"{start.manifest.name} version {version}",
            reason=why_unknown(rows.tickets, start.learnt),
        )  # fmt: skip
    # A correction of a ticket that was learnt under another category is known by its content, and yet new.
    corrections = [row for row in range(len(known) - rows.num_feedback, len(known)) if known[row]]
    if corrections:
        model = load(start.manifest, start.files)
        answers = model.predict([model.encode(rows.tickets[row].content) for row in corrections])
        for row, answer in zip(corrections, answers, strict=True):
            known[row] = answer.said == rows.tickets[row].expected
    new = [row for row, is_known in enumerate(known) if not is_known]
    old = [row for row, is_known in enumerate(known) if is_known]
    if not new:
        raise InvalidInput("nothing-new", version=version, num_tickets=len(old))
    if len(new) > MAX_NEW:
        raise InvalidInput("too-much-new", version=version, num_new=len(new), limit=MAX_NEW)
    drawn = np.random.default_rng(seed).permutation(len(old))[:MAX_REMINDERS]
    return ChosenRows(new, sorted(old[place] for place in drawn.tolist()))
