"""Tests of the package artifacts."""
