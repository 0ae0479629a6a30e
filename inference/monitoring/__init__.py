"""What is counted of requests and tickets, and who is shown it."""
