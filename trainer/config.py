"""The settings of one training, read once at the entry: defaults, then a TOML file, then `--set field=value`.

The defaults were chosen on validation splits of the training files (docs/LOG.md), never on test files.
"""

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from artifacts.errors import Fault, InvalidInput
from artifacts.problems.sentences import Message
from artifacts.system import cores
from artifacts.system.validation import invalid
from artifacts.text.people import Person

C = TypeVar("C", bound=msgspec.Struct)
Share = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
# Pairs of placeholders, separated by commas.
_MASK = "<[A-Z][A-Z0-9_]{0,62}>"
Aliases = Annotated[str, msgspec.Meta(pattern=rf"^({_MASK}={_MASK}(, *{_MASK}={_MASK})*)?$")]
# Bounded above, because infinity is no number in JSON: a manifest that holds one cannot be read again.
Positive = Annotated[float, msgspec.Meta(gt=0.0, le=1000.0)]


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set for the training of a GRU; every field with its range, default and reason.

    Attributes:
        grus: networks whose logits are averaged; 0: 2, of the recipe fast 1, of best 4. Each costs a search the same.
        num_layers: GRU layers, 1..3; more than one rarely helps on short tickets and costs as much again.
        bidirectional: read the ticket backwards as well; the end of a sentence often says what it is about.
        embedding: E, the size of a token's vector.
        hidden: H, the size of the GRU's state in each direction; a search costs 6H(E+H) per token and direction.
        dropout: share of the vector's and of the pooled state's entries that a step leaves out.
        word_dropout: share of tokens that a step reads by their n-grams alone, so that these learn to carry a word.
        ngram_dropout: share of a word's n-grams that a step leaves out.
        label_smoothing: probability taken from the true category and spread over all; real labels are not sure.
        recipe: fast (seconds: fewer epochs, and no refit after one split), default, best (minutes: more GRUs).
            What it says holds where the settings below are 0 or left out.
        epochs: passes over the training tickets at most; 0: 20, under 2,500 tickets 30, and over 10,000 as many as read
            200,000 tickets, at least 8; of a fast recipe 8.
        batch: tickets a step; 0: a fortieth of the tickets, within 16 and 64, for a small set needs its steps too.
        lr: the highest learning rate of the one-cycle schedule.
        weight_decay: AdamW's pull of every weight towards 0.
        clip: longest gradient of a step; a recurrent net can otherwise take one step that undoes all others.
        patience: epochs without a better validation loss before training stops. Half of the epochs by default, because
            the schedule's second half, when the rate falls, often mends what its middle spoilt.
        validation: share of each category that is kept out of training, to choose the best epoch and to calibrate.
        refit: train once more on every ticket for as many epochs as the best one took, and publish that. The validation
            metrics are then those of the first network, which is a little worse (docs/LOG.md).
        folds: parts that the tickets are cut into to validate each on a network of the others; 1: one split, of which
            `validation` is kept out; 0: 4 under 2,000 tickets, where one split would say little, else 1; of a fast
            recipe 4 under 1,000.
        linear_c: C of the linear part's support vector machine; 0: the best of .3, 1 and 3 on the validation tickets.
        max_table_mb: that the tables of the linear part may take, in MB of 1,000,000 bytes, 1..100,000. With more they
            get fewer columns than there are categories: 256 at most and 64 at least (trainer/gru/low_rank.py). The
            memory of a training and the size of the model follow.
        linear_rank: columns of these tables; 0: one a category, full tables; left out: as max_table_mb has it.
        pairs: rows of the hashed table of pairs of neighbouring words; 0: none.
        min_count: tickets that must hold a word before it gets a row of its own; below 2 the vocabulary file keeps
            words that one person wrote.
        max_vocabulary: words with a row of their own at most.
        ngram_buckets: rows of the hashed n-gram table.
        aliases: placeholders that are read as another, in training and ever after, such as <ENTREPRISE>=<COMPANY>;
            separated by commas. `puppet-train inspect` proposes them.
        forbid: names that get no row of the vocabulary, separated by commas or line breaks: every word that holds one
            is read as an unknown word. The manifest keeps how many words these were, and none of them.
        seed: of everything random; the same seed, data and machine give the same weights.
        device: auto takes CUDA where there is one.
        threads: of a process; on a network this small a second one gains little, and where other programs want the
            cores too it made training 14 times slower (docs/decisions/0004). Another number may round sums differently.
        minutes: that the whole training may take; 0: as long as it needs. Settings are reduced until they fit, and
            where time is left, better ones are searched (extra `tune`).
        max_vector_words: words that a file of vectors brings beyond those of the tickets, each a row of the model.
        processes: that train at once, each a network of its own; the weights are the same whatever their number.
            0: as many as this program may use cores (a container's quota counts), or 1 if the work takes seconds.
        target: share of the tickets that the model routes by itself that is to be right; from it follows the confidence
            that a ticket needs (trainer/selection/threshold.py).
        abstain: whether the model gives no category of a ticket that needs more, unless a search asks for one.
        out_of_scope: try whether confidence tells tickets of no known category apart, on categories left out of a
            training of its own (trainer/selection/out_of_scope.py); left out: yes, but not in the recipe fast.
        full_after: versions in a row that may each start from the one before (--from); then a full training is due.
            0: any number.
    """

    grus: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0
    num_layers: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1
    bidirectional: bool = True
    embedding: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 32
    hidden: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 32
    dropout: Share = 0.3
    word_dropout: Share = 0.2
    ngram_dropout: Share = 0.3
    label_smoothing: Share = 0.1
    recipe: Literal["fast", "default", "best"] = "default"
    epochs: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    batch: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0
    lr: Positive = 8e-3
    weight_decay: Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)] = 0.01
    clip: Positive = 1.0
    patience: Annotated[int, msgspec.Meta(ge=1)] = 10
    validation: Annotated[float, msgspec.Meta(gt=0.0, le=0.5)] = 0.1
    refit: bool | None = None
    folds: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    linear_c: Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)] = 0.0
    max_table_mb: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 100
    linear_rank: Annotated[int, msgspec.Meta(ge=0, le=4096)] | None = None
    pairs: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 20_000
    min_count: Annotated[int, msgspec.Meta(ge=1)] = 2
    max_vocabulary: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 50_000
    ngram_buckets: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 20_000
    aliases: Aliases = ""
    forbid: str = ""
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    minutes: Annotated[float, msgspec.Meta(ge=0.0, le=10_000.0)] = 0.0
    max_vector_words: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 20_000
    processes: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    target: Annotated[float, msgspec.Meta(ge=0.5, lt=1.0)] = 0.95
    abstain: bool = False
    out_of_scope: bool | None = None
    full_after: Annotated[int, msgspec.Meta(ge=0)] = 10


def forbidden(config: TrainConfig) -> Callable[[str], bool] | None:
    """Return what says of a word of the tickets whether it is forbidden; None if none is. Placeholders never are.

    Raises:
        InvalidInput: a name has fewer than two letters or digits.
    """
    names = [name for part in config.forbid.splitlines() for one in part.split(",") if (name := one.strip())]
    if not names:
        return None
    person = Person(names)
    return lambda word: not word.startswith("<") and person.is_word(word)


SMALL, VERY_SMALL = 2500, 2000  # tickets
# From here on a GRU takes about as many steps however many tickets there are: 20 epochs of 10,000 read as many tickets
# as 8 of 25,000, and of the larger set each says less that is new (docs/LOG.md, "The training loop by rows").
LARGE, MOST_READ = 10_000, 200_000
# A tenth of 300 tickets says nothing of which ones may be routed; from here on a fast recipe keeps a hundred out.
FAST_SMALL = 1000
FAST_EPOCHS = 8
WORTH_A_PROCESS = 50_000  # tickets read, epoch by epoch; with fewer, another process is not worth its start


def resolve(config: TrainConfig, num_tickets: int) -> TrainConfig:
    """Return the settings with a number wherever the recipe or the size of the set decides."""
    usual = 30 if num_tickets < SMALL else 20 if num_tickets <= LARGE else max(FAST_EPOCHS, MOST_READ // num_tickets)
    epochs = config.epochs or (FAST_EPOCHS if config.recipe == "fast" else usual)
    folds = config.folds or (4 if num_tickets < (FAST_SMALL if config.recipe == "fast" else VERY_SMALL) else 1)
    grus = config.grus or {"fast": 1, "default": 2, "best": 4}[config.recipe]
    num_read = num_tickets * epochs * grus * folds
    return msgspec.structs.replace(
        config,
        grus=grus,
        epochs=epochs,
        batch=config.batch or min(64, max(16, num_tickets // 40)),
        refit=config.refit if config.refit is not None else config.recipe != "fast",
        folds=folds,
        processes=config.processes or (cores.whole() if num_read >= WORTH_A_PROCESS else 1),
        out_of_scope=config.out_of_scope if config.out_of_scope is not None else config.recipe != "fast",
    )


def read_config(type_: type[C], file: Path | None, overrides: Iterable[str] = ()) -> C:
    """Return the defaults, changed by a TOML file and then by `field=value` words.

    Args:
        type_: the settings of the model's kind.
        file: TOML.
        overrides: words of the command line.

    Raises:
        InvalidInput: an unknown field, a value outside its range, or a word without "=", each named.
    """
    values: dict[str, object] = {}
    if file is not None:
        try:
            values.update(tomllib.loads(file.read_text("utf-8")))
            values.pop("data", None)  # how an export is read, which trainer/cli/reading.py takes out of the same file
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidInput("configuration-unreadable", path=file, reason=error) from error
    for word in overrides:
        field, equals, text = word.partition("=")
        if not equals:
            raise InvalidInput("not-a-setting", word=word)
        values[field.strip()] = text.strip()
    faults = []
    known = {field.name: field for field in msgspec.structs.fields(type_)}
    for field, value in values.items():
        if field not in known:
            faults.append(Fault.of(f"/{field}", "unknown-field", known=list(known)))
            continue
        try:
            # A word of the command line is text; strict=False reads "5" and "True" as what the field says.
            values[field] = msgspec.convert(value, known[field].type, strict=False)
        except msgspec.ValidationError as error:
            reason = invalid("", str(error), known[field].type)
            said = Message(reason.type, reason.parameters)
            faults.append(Fault.of(f"/{field}", "setting-does-not-fit", found=value, reason=said))
    if faults:
        raise InvalidInput("configuration-does-not-fit", faults)
    return msgspec.convert(values, type_)
