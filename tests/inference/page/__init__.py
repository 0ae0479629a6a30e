"""Tests of inference/page."""
