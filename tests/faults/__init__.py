"""Faults on purpose: kill -9, failing disks and power cuts at each step of each change (docs/faults.md)."""
