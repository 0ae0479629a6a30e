"""Tests of inference/routes."""
