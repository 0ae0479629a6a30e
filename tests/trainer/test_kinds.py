"""The table of kinds on the trainer's side: each kind's module brings what `Trainer` asks for, and costs little."""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

from artifacts.kinds import KINDS, Kind
from artifacts.networks.manifest import Epoch
from trainer.data.files import RawRow
from trainer.kinds import Silent, Trainer, libraries, trainer_of

EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
METHODS = [name for name, _ in inspect.getmembers(Trainer, inspect.isfunction) if not name.startswith("_")]


def test_what_a_trainer_has_is_asked_for() -> None:
    """This file reads the Protocol; were it empty, the tests below would prove nothing."""
    assert set(METHODS) == {
        *(
            "check_rows",
            "check_trainable",
            "resolved",
            "fit",
            "show_rows",
            "show_plan",
            "show_validation",
            "show_evaluation",
        ),
    }
    assert set(Trainer.__annotations__) == {"Config", "OPERATORS", "table"}


@EVERY_KIND
def test_trainer_is_the_module_that_the_table_names(kind: Kind) -> None:
    """The name in the table is found, and each kind has its own."""
    assert trainer_of(kind) is import_module(kind.trainer)
    assert [other.trainer for other in KINDS.values()].count(kind.trainer) == 1


@EVERY_KIND
def test_module_has_all_that_is_asked_for(kind: Kind) -> None:
    """Each function takes the arguments of the Protocol, in their order; each attribute is of its type."""
    trainer = trainer_of(kind)

    for name in METHODS:
        found = list(inspect.signature(getattr(trainer, name)).parameters.values())
        wanted = list(inspect.signature(getattr(Trainer, name)).parameters.values())[1:]
        assert [p.name for p in found] == [p.name for p in wanted], name
        assert all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in found), name
    assert issubclass(trainer.Config, msgspec.Struct)
    assert type(trainer.OPERATORS) is frozenset
    assert trainer.table is None or callable(trainer.table)
    assert (trainer.table is None) == kind.reads_text


@EVERY_KIND
def test_settings_have_defaults_and_refuse_unknown_fields(kind: Kind) -> None:
    """A body without `config` trains, and a typo in one is an error."""
    config = trainer_of(kind).Config

    assert msgspec.convert({}, config) == config()
    assert config.__struct_config__.forbid_unknown_fields
    assert config.__struct_config__.frozen


@EVERY_KIND
def test_examples_of_the_documentation_are_rows_that_train(kind: Kind) -> None:
    """What the documentation page shows as training data passes the checks, and its lines can be shown."""
    trainer = trainer_of(kind)
    raw = [RawRow(msgspec.json.encode(row)) for row in kind.examples[0]]

    rows = trainer.check_rows(raw, "examples")

    trainer.check_trainable(rows)
    assert list(rows.tickets) == list(kind.examples[0])
    assert trainer.show_rows(rows)[0].startswith("2 ")


@EVERY_KIND
def test_importing_a_trainer_loads_nothing_heavy(kind: Kind) -> None:
    """Torch takes seconds and 200 MB; what can be refused is refused before it is imported."""
    code = f"""
import sys
import {kind.trainer}
from artifacts.kinds import KINDS
from trainer.kinds import trainer_of
assert trainer_of(KINDS["{kind.name}"]) is {kind.trainer}
heavy = {{"torch", "onnx", "sklearn"}} & sys.modules.keys()
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_who_is_not_told_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """`Silent` takes all that a training tells."""
    silent = Silent()

    silent.plan([])
    silent.phase("linear")
    silent.fitted(3)
    silent.start(3, 2, is_refit=False)
    silent.step(1, 3, 0.5)
    silent.epoch(Epoch(1, 0.5, None, None, 10.0))

    assert capsys.readouterr() == ("", "")


@pytest.mark.torch
def test_libraries_are_those_that_are_installed() -> None:
    """Python, numpy, onnx and onnxruntime always, and those that are asked for."""
    import numpy
    import torch

    found = libraries("torch")

    assert found.keys() == {"python", "numpy", "onnx", "onnxruntime", "torch"}
    assert found["numpy"] == numpy.__version__
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert "torch" not in libraries()
