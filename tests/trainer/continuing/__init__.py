"""Tests of learning on top of a published version."""
