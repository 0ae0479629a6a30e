"""Tests of trainer/jobs."""
