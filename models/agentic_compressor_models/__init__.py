"""Model files for `agentic-compressor[onnx]`. The package holds data only; `agentic-compressor` finds and reads it."""

__version__ = "1.0.0"
