"""Tests of inference/system."""
