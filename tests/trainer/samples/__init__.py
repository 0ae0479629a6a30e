"""Tests of trainer/samples."""
