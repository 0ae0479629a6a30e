"""From the body of a search to its answer. Part of the core: read search.py, then batcher.py."""
