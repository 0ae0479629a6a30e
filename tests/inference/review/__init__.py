"""Tests of inference/review."""
