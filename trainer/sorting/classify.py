"""An export in, the same export with a category for each ticket out: `puppet-train classify`.

    export -> records -> content -> ids -> model -> the record with what the model says -> file

In: any form that `fit` reads. Out: every column as it was, and the answer in columns after them. It streams: some
hundred tickets are in memory, whatever the size of the file. It answers through onnxruntime, as the server does, so it
needs neither torch nor what else a training needs.
"""

import contextlib
import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from artifacts.errors import Fault, InvalidContent, InvalidInput, KindMismatch
from artifacts.jobs.answers import MAX_LISTED_ROWS, MAX_TEXT, UnsureTicket, line_of
from artifacts.kinds import Kind, kind_named
from artifacts.networks.explain import finish
from artifacts.networks.ranking.among import kept_of, masked
from artifacts.networks.ranking.ranker import Ranked
from artifacts.networks.runtime import Model
from artifacts.system.validation import does_not_fit
from artifacts.text.tickets import Guess, RankedPrediction
from trainer.data.columns import Chosen, FaultyCategory, Reading, choose, content_of
from trainer.data.files import FaultLog, FaultyCell, Fields, Record
from trainer.data.forms import Export
from trainer.data.tickets import SKIP_FAULTY, export_of, id_of, repaired_content
from trainer.sorting import writers

BATCH = 512  # tickets that are answered together: sorted by length, so that a run costs little padding
NUM_WEIGHTS = 5  # tokens of an explanation
UNREADABLE, DECIDED = "unreadable", "decided"
LOW = 0.5  # confidence below which a ticket is unsure to a model that has no rule of its own
MAX_GUESSES = 9  # of an unsure ticket: as many as a person picks from with a digit


class Asked(msgspec.Struct, frozen=True):
    """What is to be said of each ticket.

    Attributes:
        abstain: leave the category empty where the model is not sure; None: as the model's own setting has it.
        top_k: how many categories to name; above 1 each further one is two columns.
        explain: name the tokens that weigh most.
        decided: place of a row, as `Record.place` has it -> the category that a person has given it, which is written
            and not the model's; None leaves it empty.
        among: categories that may be answered; None: all.
        otherwise: what to write in place of an empty category, which lets the model abstain.
    """

    abstain: bool | None = None
    top_k: int = 1
    explain: bool = False
    decided: Mapping[str, str | None] = {}
    among: Sequence[str] | None = None
    otherwise: str | None = None


class Sorted(msgspec.Struct, frozen=True):
    """What came of a file; as JSON it is what `--json` prints.

    Attributes:
        num_tickets: rows that were written.
        categories: tickets that each was given to, the most first; `otherwise` is one of them.
        reasons: tickets without a category, or with `otherwise`, by reason.
        num_skipped: rows that were left out, with `skip_faulty`.
        num_repaired: tickets that were encoded twice: answered as they were meant, and written as they were.
        form, encoding: of the file that was read.
        columns: that were added.
        said: how it was read, in one line.
    """

    name: str
    version: int
    num_tickets: int
    categories: dict[str, int]
    reasons: dict[str, int]
    num_skipped: int
    form: str
    encoding: str | None
    columns: dict[str, str]
    said: str
    num_repaired: int = 0


class AnsweredTicket(msgspec.Struct, frozen=True):
    """What a model says of one ticket of a file.

    Attributes:
        cells: the added cells, by what they hold.
        confidence: of the most probable category.
        doubt: why the model would abstain, whether it may or not; "" if it would not.
        best: the most probable categories, best first.
    """

    cells: Fields
    confidence: float = 0.0
    doubt: str = ""
    best: list[Guess] = []


class Unsure:
    """The tickets of a file that the model is least sure of: those that it would abstain on, or below LOW.

    Attributes:
        num_tickets: how many there are in all.
    """

    def __init__(self, has_rule: bool) -> None:
        self.num_tickets = 0
        self._has_rule = has_rule
        self._kept: list[tuple[float, int, UnsureTicket]] = []  # a heap, the surest first

    def take(self, record: Record, chosen: Chosen, text: list[str] | str, answer: AnsweredTicket) -> None:
        """Take a ticket with its answer; it is kept if it is among the least sure so far."""
        is_unsure = bool(answer.doubt) if self._has_rule or not answer.best else answer.confidence < LOW
        if not is_unsure:
            return
        self.num_tickets += 1
        ticket = UnsureTicket(
            line=line_of(record.place),
            id=known_id(record, chosen),
            text=(text if isinstance(text, str) else " ".join(text)).replace("\0", "")[:MAX_TEXT],
            category=answer.cells["category"],  # type: ignore[arg-type]  # a name, or None
            confidence=round(answer.confidence, 4),
            reason=answer.doubt,
            best=[msgspec.structs.replace(one, confidence=round(one.confidence, 4)) for one in answer.best],
        )
        # Of equally sure ones the first of the file stay.
        put = heapq.heappush if len(self._kept) < MAX_LISTED_ROWS else heapq.heappushpop
        put(self._kept, (-answer.confidence, -self.num_tickets, ticket))

    def sorted(self) -> list[UnsureTicket]:
        """Return them, the least sure first."""
        return [ticket for _, _, ticket in sorted(self._kept, reverse=True)]


class Sorter:
    """A model as what fills the added columns."""

    def __init__(self, model: Model[Any], asked: Asked) -> None:
        kind: Kind = kind_named(model.manifest.neural_network_type)
        if not kind.reads_text or model.ranker is None:
            raise KindMismatch("model-sorts-no-tickets", model_name=model.name, neural_network_type=kind.name)
        by_default = model.abstention is not None and model.abstention.by_default
        self._abstains = asked.abstain if asked.abstain is not None else by_default or asked.otherwise is not None
        if asked.otherwise is not None and not self._abstains:
            raise InvalidInput("otherwise-without-abstain")
        if self._abstains and model.abstention is None:
            raise InvalidInput("no-abstention", model=model.where)
        if asked.explain and kind.explain is None:
            raise KindMismatch("not-explainable", model_name=model.name, neural_network_type=kind.name)
        self._model, self._asked, self._explain = model, asked, kind.explain
        self._kept_K = kept_of(model.ranker.labels, asked.among, model.where) if asked.among is not None else None
        self.columns = ["category", "confidence", "reason", "version"]
        for place in range(2, asked.top_k + 1):
            self.columns += [f"category_{place}", f"confidence_{place}"]
        if asked.explain:
            self.columns.append("explanation")

    @property
    def has_rule(self) -> bool:
        """Whether the model knows when it had better abstain."""
        return self._model.abstention is not None

    def answer(self, contents: Sequence[list[str] | str]) -> list[AnsweredTicket]:
        """Return the added cells of each ticket, in order, and how sure the model is."""
        encoded: list[Any] = []
        reasons: list[str] = []
        for content in contents:
            try:
                encoded.append(self._model.encode(content))
                reasons.append("")
            except InvalidContent as error:
                reasons.append("empty" if type(error).__name__ == "EmptyTicket" else UNREADABLE)
        assert self._model.ranker is not None, "checked at the start"
        predicted = cast(Sequence[RankedPrediction], self._model.ranker.predict(encoded) if encoded else [])
        if self._kept_K is not None and encoded:
            ranked = cast(Sequence[Ranked], predicted)
            predicted = masked(ranked, self._kept_K, self._model.ranker.labels, self._model.abstention)
        answers = iter(zip(encoded, predicted, strict=True))
        return [self._nothing(reason) if reason else self._cells(*next(answers)) for reason in reasons]

    def _nothing(self, reason: str) -> AnsweredTicket:
        cells = dict.fromkeys(self.columns) | {
            "category": self._asked.otherwise,
            "confidence": 0.0,
            "reason": reason,
            "version": self._model.version,
        }
        return AnsweredTicket(cells, doubt=reason)

    def _cells(self, encoded: Any, answer: RankedPrediction) -> AnsweredTicket:
        reason = answer.reason if self._abstains else None
        cells: Fields = {
            "category": answer.category if reason is None else self._asked.otherwise,
            "confidence": round(answer.confidence, 4),
            "reason": reason or "",
            "version": self._model.version,
        }
        best = answer.best or []
        for place in range(2, self._asked.top_k + 1):
            guess = best[place - 1] if place <= len(best) else None
            cells[f"category_{place}"] = guess.category if guess is not None else None
            cells[f"confidence_{place}"] = round(guess.confidence, 4) if guess is not None else None
        if self._explain is not None and self._asked.explain:
            tokens = finish(self._explain(self._model, encoded, self._kept_K)).tokens
            heaviest = sorted(tokens, key=lambda token: -abs(token.weight))[:NUM_WEIGHTS]
            cells["explanation"] = ", ".join(f"{one.token} ({one.weight:+.2f})" for one in heaviest)
        return AnsweredTicket(cells, answer.confidence, answer.reason or "", best[:MAX_GUESSES])


def classify(
    data: Path,
    out: Path,
    model: Model[Any],
    asked: Asked,
    reading: Reading,
    delimiter: str | None = None,
    progress: Callable[[int, int, int], None] = lambda *_: None,
) -> tuple[Sorted, Unsure]:
    """Write an export with the model's answers, and return what came of it, and what the model is not sure of.

    Args:
        data: of any form that is read; `-`: standard input.
        out: where it goes; see `writers.check_out`.
        model: a loaded version.
        asked: what is to be said of each ticket.
        reading: how the export is read.
        delimiter: of a .csv; None: the export's own, or a comma.
        progress: is called with the rows done, the bytes read, and the bytes of the file.

    Raises:
        InvalidInput: the export cannot be read, its columns are unclear, rows of it cannot be kept, one that was
            decided is not there, or OUT cannot be written.
        KindMismatch: the model answers no tickets.
        NotFinite: see `Model.predict`.
    """
    writers.check_out(out, data)
    answerer = Sorter(model, asked)
    unsure = Unsure(answerer.has_rule)
    faults, counts, reasons = FaultLog(), Counter[str](), Counter[str]()
    num_tickets = num_repaired = 0
    places = set(asked.decided)  # whose rows have not come yet
    with export_of(data, reading, reading.text, needs_category=False) as export, contextlib.ExitStack() as stack:
        chosen = choose(export, reading, needs_category=False)
        kept, export.records = columns_of(export)
        added = free_names(answerer.columns, kept)
        numbers = [new for name, new in added.items() if name.startswith(("confidence", "version"))]
        separator = delimiter or export.delimiter or ","
        writer = stack.enter_context(writers.opened(out, [*kept, *added.values()], separator, export.schema, numbers))
        allowed = None if out.suffix.lower() in (".jsonl", ".ndjson") else set(kept)
        for records in batches(export.records, BATCH):
            good = [record for record in records if record.fault is None]
            for record in records:
                if record.fault is not None:
                    faults.add([record.fault], record.place, option=SKIP_FAULTY)
            if faults.num_faults and not reading.skip_faulty:
                raise faults.error(export.name)
            written = [content(one, chosen) for one in good]
            meant = [repaired_content(one) for one in written]
            num_repaired += sum(one != other for one, other in zip(written, meant, strict=True))
            for record, text, answer in zip(good, meant, answerer.answer(meant), strict=True):
                cells = answer.cells
                if is_decided := record.place in asked.decided:
                    cells = cells | {"category": asked.decided[record.place], "reason": DECIDED}
                    places.discard(record.place)
                if allowed is not None and (more := record.fields.keys() - allowed):
                    fault = Fault.of(f"{record.pointer}/{min(more)}", "field-that-came-late", record.line)
                    raise does_not_fit(export.name, [fault])
                writer.write(record.fields | {added[name]: cell for name, cell in cells.items()})
                counts[str(cells["category"])] += cells["category"] is not None
                reasons[str(cells["reason"])] += cells["category"] is None or bool(cells["reason"] and not is_decided)
                if not is_decided:
                    unsure.take(record, chosen, text, answer)
            num_tickets += len(good)
            progress(num_tickets, export.source.file.tell(), export.source.num_bytes)
        if not num_tickets:
            raise InvalidInput("no-ticket-to-classify", file=export.name)
        if places:
            raise InvalidInput("row-correction-of-no-row", place=min(places), count=len(places))
        said = f"{export.said}; {chosen.said}"
        found = Sorted(
            name=model.name,
            version=model.version,
            num_tickets=num_tickets,
            categories={name: count for name, count in counts.most_common() if count},
            reasons={name: count for name, count in reasons.most_common() if count},
            num_skipped=faults.num_rows,
            form=export.form,
            encoding=export.encoding.codec if export.encoding is not None else None,
            columns=added,
            said=said,
            num_repaired=num_repaired,
        )
    return found, unsure


def known_id(record: Record, chosen: Chosen) -> str | int | None:
    """Return the id of a record; None where its cell holds none."""
    try:
        return id_of(record.fields, chosen)
    except FaultyCell:
        return None


def content(record: Record, chosen: Chosen) -> list[str] | str:
    """Return the content of a record; NUL, which no model reads, where a cell holds none."""
    try:
        return content_of(record.fields, chosen)
    except (FaultyCategory, FaultyCell):
        return "\0"


def free_names(added: Sequence[str], kept: Sequence[str]) -> dict[str, str]:
    """Return what each added column is called: no column of the export is written over, if it was sorted before too.

    >>> free_names(["category", "reason"], ["text", "category", "predicted_category"])
    {'category': 'predicted_category_again', 'reason': 'reason'}
    """
    taken, names = set(kept), {}
    for name in added:
        free = name if name not in taken else f"predicted_{name}"
        while free in taken:
            free += "_again"
        names[name] = free
        taken.add(free)
    return names


def columns_of(export: Export) -> tuple[list[str], Iterator[Record]]:
    """Return the names of the columns of an export, and its records; of JSON those of its first thousand objects."""
    if export.columns:
        return export.columns, export.records
    first = list(itertools.islice(export.records, 1000))
    return list(dict.fromkeys(name for record in first for name in record.fields)), itertools.chain(
        first, export.records
    )


def batches(records: Iterator[Record], size: int) -> Iterator[list[Record]]:
    """Yield the records, `size` at a time."""
    while found := list(itertools.islice(records, size)):
        yield found
