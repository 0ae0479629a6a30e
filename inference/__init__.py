"""Answer requests: a Litestar service over published artifacts. Never imports torch, onnx or trainer."""
