"""Tests of artifacts/networks."""
