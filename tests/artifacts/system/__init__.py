"""Tests of artifacts/system."""
