"""Tests of artifacts/store."""
