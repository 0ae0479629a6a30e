"""What a step of a training works on: the tokens of a batch, and the rows of the tables that they touch."""
