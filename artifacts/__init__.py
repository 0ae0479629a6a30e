"""What the trainer and the server share: text to ids, the files of a model version, the ONNX session, the metrics."""
