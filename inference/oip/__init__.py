"""The Open Inference Protocol, version 2 (/v2): what clients of KServe, Triton and MLServer speak."""
