"""Where models run: devices, batching, worker threads, ONNX sessions."""
