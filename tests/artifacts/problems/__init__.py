"""Tests of artifacts/problems."""
