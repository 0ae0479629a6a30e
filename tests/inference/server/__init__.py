"""Tests of inference/server."""
