"""What is written about a version: a page, a model card, and each step from a ticket to its answer."""
