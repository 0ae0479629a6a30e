"""What a search costs: latency, throughput, start, overload, memory."""
