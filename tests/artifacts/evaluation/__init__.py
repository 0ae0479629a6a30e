"""Tests of artifacts/evaluation."""
