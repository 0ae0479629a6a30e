"""Generators of invented tickets and e-mails, seeded."""
