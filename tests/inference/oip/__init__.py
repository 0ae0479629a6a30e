"""Tests of inference/oip/."""
