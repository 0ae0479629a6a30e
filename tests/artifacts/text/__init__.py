"""Tests of artifacts/text."""
