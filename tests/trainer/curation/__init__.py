"""Tests of trainer/curation."""
