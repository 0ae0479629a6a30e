"""What a request for a job says, and what the job has given: from the address and the body to a file or JSON."""
