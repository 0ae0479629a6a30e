"""What it costs to read an e-mail: hostile ones, typical ones."""
