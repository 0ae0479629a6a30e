"""The settings: what may be set, to what, and which source wins."""

import inspect
import math
import os
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import Fault, InvalidInput
from tests.cgroups import make_cgroups
from trainer.config import TrainConfig, read_config, resolve

FIELDS = {field.name: field for field in msgspec.structs.fields(TrainConfig)}


def faults(*overrides: str, file: Path | None = None) -> list[Fault]:
    """Return the faults for which settings are refused."""
    with pytest.raises(InvalidInput) as caught:
        read_config(TrainConfig, file, overrides)
    return list(caught.value.faults)


def toml(tmp_path: Path, content: str) -> Path:
    """Return a TOML file."""
    path = tmp_path / "settings.toml"
    path.write_text(content, "utf-8")
    return path


def test_without_anything_the_defaults_hold() -> None:
    """No file and no word give TrainConfig()."""
    assert read_config(TrainConfig, None) == TrainConfig()


def test_defaults_lie_within_their_ranges() -> None:
    """The defaults pass the checks that msgspec makes of what comes from outside, which it does not make of them."""
    assert msgspec.convert(msgspec.structs.asdict(TrainConfig()), TrainConfig) == TrainConfig()
    assert (TrainConfig().embedding, TrainConfig().hidden, TrainConfig().bidirectional) == (32, 32, True)


def test_every_field_is_documented_and_nothing_else() -> None:
    """The docstring has an entry with a reason for each field, in the order of the fields."""
    section = inspect.cleandoc(TrainConfig.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.+)$", section, re.MULTILINE)

    assert [name for name, _ in entries] == list(FIELDS)
    assert all(len(reason.split()) >= 3 for _, reason in entries)


def test_names_that_other_programs_rely_on_are_there() -> None:
    """The fields that DESIGN section 7 names keep their names."""
    promised = "num_layers bidirectional embedding hidden dropout epochs batch lr seed device"

    assert set(promised.split()) <= set(FIELDS)


@pytest.mark.parametrize("value", ["<A>", "a=<B>", "<A>=b", "<A>=<B>;<C>=<D>", "<A>=<B>,", "<a>=<B>"])
def test_aliases_are_pairs_of_placeholders(value: str) -> None:
    """Anything but <A>=<B>, separated by commas, is refused with its place."""
    (fault,) = faults(f"aliases={value}")

    assert fault.pointer == "/aliases"


def test_words_of_the_command_line_become_values() -> None:
    """`field=value` is read as the field's type; blanks around it do not matter and the last word wins."""
    found = read_config(
        TrainConfig, None, ["epochs=1", "epochs = 7", "lr=1e-2", "bidirectional=False", "device=cpu", "dropout=0"]
    )

    assert found == TrainConfig(epochs=7, lr=0.01, bidirectional=False, device="cpu", dropout=0.0)
    assert type(found.dropout) is float


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("tRuE", True),
        ("1", True),
        ("false", False),
        ("FALSE", False),
        ("0", False),
    ],
)
def test_booleans_are_read(word: str, value: bool) -> None:
    """True and false in any case, and 1 and 0."""
    assert read_config(TrainConfig, None, [f"bidirectional={word}"]).bidirectional is value


def test_file_is_read_and_the_command_line_wins(tmp_path: Path) -> None:
    """A TOML file changes the defaults, --set changes the file's values, and the rest stays."""
    file = toml(tmp_path, 'epochs = 9\nlr = 1\nbidirectional = false\ndevice = "cpu"\n# été\n')

    assert read_config(TrainConfig, file) == TrainConfig(epochs=9, lr=1.0, bidirectional=False, device="cpu")
    assert read_config(TrainConfig, file, ["epochs=2", "bidirectional=true"]) == TrainConfig(
        epochs=2, lr=1.0, device="cpu"
    )


def test_a_wrong_value_of_the_file_does_not_matter_once_it_is_overridden(tmp_path: Path) -> None:
    """Only the values that hold in the end are checked."""
    assert read_config(TrainConfig, toml(tmp_path, "epochs = -1"), ["epochs=3"]).epochs == 3


def test_unknown_field_is_refused_with_the_known_ones() -> None:
    """A typo is an error that names all fields, never a setting that is silently not used."""
    (fault,) = faults("epoch=3")

    assert fault.pointer == "/epoch"
    assert fault.detail == f"is an unknown field, expected one of {', '.join(FIELDS)}; correct the name, or remove it"


def test_a_table_of_the_file_is_an_unknown_field(tmp_path: Path) -> None:
    """The fields stand at the top level of the file."""
    (fault,) = faults(file=toml(tmp_path, "[training]\nepochs = 3\n"))

    assert fault.pointer == "/training"


@pytest.mark.parametrize(
    "word",
    [
        *("num_layers=0", "num_layers=4", "embedding=0", "hidden=1025", "dropout=1", "dropout=-0.1", "word_dropout=1"),
        *("ngram_dropout=1", "label_smoothing=1", "epochs=-1", "epochs=1001", "batch=-1", "lr=0", "lr=-1", "clip=0"),
        *("weight_decay=-1", "patience=0", "validation=0", "validation=0.6", "min_count=0", "max_vocabulary=0"),
        *("ngram_buckets=0", "seed=-1", "seed=4294967296", "threads=0", "threads=257", "device=gpu"),
        *("lr=nan", "lr=inf", "clip=inf", "weight_decay=inf", "dropout=nan"),
        *(
            "epochs=many",
            "epochs=",
            "epochs=1.5",
            "epochs=true",
            "seed=false",
            "lr=fast",
            "bidirectional=yes",
            "bidirectional=2",
        ),
    ],
)
def test_value_outside_its_range_or_of_another_type_is_refused(word: str) -> None:
    """The field is named with what it expects and what was found, in text as it was written."""
    field, _, value = word.partition("=")

    (fault,) = faults(word)

    assert fault.pointer == f"/{field}"
    assert fault.detail.startswith(f"is {value!r}; ")


def test_wrong_types_of_the_file_are_refused(tmp_path: Path) -> None:
    """A list, a date or a text where a number belongs is a fault, and all of them are listed."""
    found = faults(file=toml(tmp_path, 'epochs = [3]\nlr = 2026-01-02\nhidden = "wide"\nseed = 1\n'))

    assert [fault.pointer for fault in found] == ["/epochs", "/lr", "/hidden"]


def test_every_fault_is_listed(tmp_path: Path) -> None:
    """Faults of the file and of the command line come together."""
    found = faults("hidden=0", "colour=red", file=toml(tmp_path, "epochs = -1"))

    assert [fault.pointer for fault in found] == ["/epochs", "/hidden", "/colour"]


def test_word_without_equals_sign_is_refused() -> None:
    """`--set epochs` says what was expected."""
    with pytest.raises(InvalidInput, match=r"--set epochs has no equals sign, .*; write it as in --set epochs=5"):
        read_config(TrainConfig, None, ["epochs"])


@pytest.mark.parametrize("content", [b"epochs = ", b"epochs: 3", b"epochs = 1\nepochs = 2", b"# \xe9"])
def test_unreadable_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """What is no TOML in UTF-8 is one sentence with the file's name."""
    file = tmp_path / "settings.toml"
    file.write_bytes(content)

    with pytest.raises(InvalidInput, match=r"cannot read the configuration .*settings\.toml: "):
        read_config(TrainConfig, file)


def test_missing_file_and_folder_are_refused_by_name(tmp_path: Path) -> None:
    """A configuration that is not there is never taken for an empty one."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InvalidInput, match="cannot read the configuration"):
            read_config(TrainConfig, path)


@given(word=st.text(max_size=30))
def test_any_word_is_read_or_refused(word: str) -> None:
    """Whatever stands after --set, nothing but our own error is raised."""
    for text in (word, f"lr={word}", f"device={word}", f"seed={word}"):
        try:
            found = read_config(TrainConfig, None, [text])
        except InvalidInput:
            continue
        assert math.isfinite(found.lr)


@given(st.data())
def test_settings_that_pass_are_finite_json(data: st.DataObject) -> None:
    """No setting can hold a number that the manifest could not give back (JSON has no infinity)."""
    word = data.draw(st.sampled_from(["lr", "clip", "weight_decay", "dropout", "validation"]))
    value = data.draw(st.floats())
    try:
        found = read_config(TrainConfig, None, [f"{word}={value!r}"])
    except InvalidInput:
        return

    assert msgspec.json.decode(msgspec.json.encode(found), type=TrainConfig) == found


def test_settings_cannot_be_changed() -> None:
    """They are read once and passed down."""
    with pytest.raises(AttributeError):
        TrainConfig().epochs = 3  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(
    ("recipe", "num_tickets", "epochs", "batch", "refit", "folds", "grus"),
    [
        ("default", 330, 30, 16, True, 4, 2),
        ("default", 1999, 30, 49, True, 4, 2),
        ("default", 2000, 30, 50, True, 1, 2),
        ("default", 2500, 20, 62, True, 1, 2),
        ("default", 10_000, 20, 64, True, 1, 2),
        ("default", 16_000, 12, 64, True, 1, 2),
        ("default", 50_000, 8, 64, True, 1, 2),
        ("fast", 330, 8, 16, False, 4, 1),
        ("fast", 999, 8, 24, False, 4, 1),
        ("fast", 1000, 8, 25, False, 1, 1),
        ("fast", 10_000, 8, 64, False, 1, 1),
        ("best", 10_000, 20, 64, True, 1, 4),
    ],
)
def test_recipe_and_size_decide_what_was_left_open(
    recipe: str, num_tickets: int, epochs: int, batch: int, refit: bool, folds: int, grus: int
) -> None:
    """The steps of a small set do not get fewer with its tickets, and one split of it is not trusted."""
    found = resolve(read_config(TrainConfig, None, [f"recipe={recipe}"]), num_tickets)

    assert (found.epochs, found.batch, found.refit, found.folds, found.grus) == (epochs, batch, refit, folds, grus)
    assert found.out_of_scope == (recipe != "fast")  # where a training may take only seconds


@pytest.mark.parametrize("quota", ["100000", "50000", "199999"])
@pytest.mark.parametrize(("num_tickets", "folds"), [(1999, 4), (25_000, 1)])
def test_container_with_one_core_trains_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, num_tickets: int, folds: int
) -> None:
    """With `--cpus=1` on a host of 64 cores no fit starts a second process, however many networks its folds need."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    make_cgroups(tmp_path, monkeypatch, "0::/\n", {"cpu.max": "max 100000\n"})
    host = resolve(TrainConfig(), num_tickets)
    make_cgroups(tmp_path, monkeypatch, "0::/\n", {"cpu.max": f"{quota} 100000\n"})
    container = resolve(TrainConfig(), num_tickets)

    assert (host.processes, host.folds) == (64, folds)
    assert (container.processes, container.folds, container.grus) == (1, folds, 2)


def test_what_was_set_is_not_decided_again() -> None:
    """A setting wins over the recipe."""
    words = ["epochs=3", "batch=7", "refit=true", "folds=4", "grus=3", "processes=2", "out_of_scope=true"]
    asked = read_config(TrainConfig, None, ["recipe=fast", *words])

    assert resolve(asked, 500) == asked
