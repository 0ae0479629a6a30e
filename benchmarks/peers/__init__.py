"""What a team might take in our place, each in a module of its own: `fit` on the same rows, then text -> category."""
