"""More than the best category: the next best ones, and those that may be answered."""
