"""Measure Puppet: each module answers one question, and `python -m benchmarks` asks it."""
