"""Tests of inference/search."""
