"""Tests of the benchmarks: that they measure what they say. What they measure gates no test."""
