"""Tests of artifacts/jobs."""
