"""How often the answers are right, beside other methods."""
