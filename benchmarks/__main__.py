"""Which questions can be asked: `python -m benchmarks latency`, `throughput`, `accuracy` and so on; see --help.

A command prints a table for people; the last line of stdout is the whole result as one JSON object.
"""

import click

from benchmarks.accuracy import accuracy, audit, frontier, frontier_costs
from benchmarks.mail import reading
from benchmarks.serving import batch, drain, engines, latency, overload, soak, stalled, startup, swaps, throughput
from benchmarks.training import epoch, epoch_loops, intake, memory, speed, speed_profile, thresholds, training


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure this checkout on this machine. Run nothing else beside it."""


main.add_command(latency.latency_command)
main.add_command(latency.floor_command)
main.add_command(throughput.throughput_command)
main.add_command(engines.engines_command)
main.add_command(batch.batch_command)
main.add_command(batch.learner_command)
main.add_command(startup.startup_command)
main.add_command(overload.overload_command)
main.add_command(reading.mail_command)
main.add_command(soak.soak_command)
main.add_command(stalled.stalled_command)
main.add_command(accuracy.accuracy_command)
main.add_command(audit.audit_command)
main.add_command(frontier.frontier_command)
main.add_command(frontier_costs.shape_costs_command)
main.add_command(intake.intake_command)
main.add_command(intake.one_intake_command)
main.add_command(memory.memory_command)
main.add_command(memory.one_memory_command)
main.add_command(epoch.epoch_command)
main.add_command(epoch_loops.loops_command)
main.add_command(epoch.one_fit_command)
main.add_command(drain.drain_command)
main.add_command(swaps.swaps_command)
main.add_command(training.training_command)
main.add_command(training.poster_command)
main.add_command(speed.speed_command)
main.add_command(speed_profile.one_speed_command)
main.add_command(thresholds.thresholds_command)
main.add_command(accuracy.one_training_command)

if __name__ == "__main__":
    main()
