"""The trainer, from a file of tickets to a published version."""
