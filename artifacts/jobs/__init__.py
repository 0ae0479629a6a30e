"""Training jobs: a table of their states in SQLite, and a folder for each one's files."""
