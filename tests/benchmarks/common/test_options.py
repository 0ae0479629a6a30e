"""Settings are made of the options of the same names."""

from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from benchmarks.common import options
from benchmarks.serving import drain, latency, swaps
from benchmarks.training import training, training_summary


class Asked(msgspec.Struct):
    """Settings of some benchmark."""

    store: str | None
    sizes: list[int]
    core: int


@pytest.mark.parametrize(
    ("command", "kind", "cores"),
    [
        (drain.drain_command, drain.Settings, ()),
        (swaps.swaps_command, swaps.Settings, ()),
        (latency.latency_command, latency.Settings, ("server_core", "generator_core")),
        (training.training_command, training_summary.Settings, ("server_core", "trainer_core", "generator_core")),
    ],
)
def test_every_setting_has_an_option_or_is_a_core(
    command: click.Command, kind: type[msgspec.Struct], cores: tuple[str, ...]
) -> None:
    """What a command gives without a word on its line is read as its Settings, value by value."""
    given: dict[str, Any] = command.make_context(command.name, []).params

    settings = options.read(kind, given, **dict.fromkeys(cores, 1))

    expected = given | dict.fromkeys(cores, 1)
    assert msgspec.structs.asdict(settings) == {name: expected[name] for name in kind.__struct_fields__}


def test_path_is_kept_as_text_and_what_is_no_setting_left_out() -> None:
    """A path becomes text, several values a list, and an option without a field is no fault."""
    given = {"store": Path("a") / "b", "sizes": (1, 8), "save": True}

    assert options.read(Asked, given, core=1) == Asked("a/b", [1, 8], 1)
