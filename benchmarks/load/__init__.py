"""The load generators, and the servers that they are pointed at."""
