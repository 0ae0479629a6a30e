"""The trainer's inner loops in plain C, each with a way in Python that gives the same where nothing was compiled."""
