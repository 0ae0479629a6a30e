"""Tests of trainer/gru."""
