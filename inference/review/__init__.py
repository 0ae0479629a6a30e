"""The review queue: which tickets a person should look at, in which order, and the routes that show them."""
