"""Tests of trainer/selection."""
