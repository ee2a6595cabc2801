"""Makes the small language model that the GGUF tests run on: `python -m tests.tiny_gguf`."""
