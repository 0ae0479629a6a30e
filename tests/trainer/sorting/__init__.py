"""Tests of trainer/sorting."""
