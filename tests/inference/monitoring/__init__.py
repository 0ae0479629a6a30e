"""Tests of inference/monitoring."""
