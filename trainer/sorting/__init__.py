"""An export in, the same export with categories out: through onnxruntime alone, as the server answers."""
