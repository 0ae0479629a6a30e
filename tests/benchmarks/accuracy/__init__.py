"""Tests of benchmarks/accuracy."""
