"""What every process needs of its machine: cores, priority, a log, durable files, and a check of what it is sent."""
