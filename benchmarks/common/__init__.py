"""What every benchmark shares: the machine, options, rounds, intervals, tables and pictures."""
