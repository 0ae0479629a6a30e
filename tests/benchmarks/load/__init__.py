"""Tests of benchmarks/load."""
