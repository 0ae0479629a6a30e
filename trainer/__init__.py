"""Train a model offline and publish it as an artifact."""
