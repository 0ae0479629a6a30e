"""What runs the graph of a GRU: onnxruntime, or a kernel of this project's own that has proven equal to it."""
