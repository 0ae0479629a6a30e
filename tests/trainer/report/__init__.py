"""Tests of trainer/report."""
