"""Tests of what a step of a training works on."""
