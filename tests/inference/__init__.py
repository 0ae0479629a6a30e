"""Tests of the server, without torch."""
