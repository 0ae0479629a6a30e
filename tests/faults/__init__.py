"""Faults on purpose: kill -9, a failing disk and power cuts at every step of every change to a store (docs/faults.md)."""
