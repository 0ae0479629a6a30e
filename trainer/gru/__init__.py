"""The kind GRU on the trainer's side: from checked tickets to a graph. Part of the core: read fit.py first."""
