"""Tests of the words of problems."""
