"""Which questions can be asked: `python -m benchmarks latency`, `accuracy`, `frontier` and so on.

A command prints a table for people; the last line of stdout is the whole result as one JSON object.
"""

import click

from benchmarks import accuracy, drain, epoch, frontier, latency, swaps, training


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure this checkout on this machine. Run nothing else beside it."""


main.add_command(latency.latency_command)
main.add_command(latency.floor_command)
main.add_command(accuracy.accuracy_command)
main.add_command(frontier.frontier_command)
main.add_command(frontier.shape_costs_command)
main.add_command(epoch.epoch_command)
main.add_command(epoch.loops_command)
main.add_command(epoch.one_fit_command)
main.add_command(drain.drain_command)
main.add_command(swaps.swaps_command)
main.add_command(training.training_command)
main.add_command(training.poster_command)
main.add_command(accuracy.one_training_command)

if __name__ == "__main__":
    main()
