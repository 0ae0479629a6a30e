"""How good an answer is and how far it can be believed: numbers about probabilities and right answers."""
