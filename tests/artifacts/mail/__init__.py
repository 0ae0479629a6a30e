"""Tests of artifacts/mail."""
