"""What a training costs, alone and beside searches."""
