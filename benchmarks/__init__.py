"""Measures every number in the README: `python -m benchmarks` reads recorded data and writes `results/`."""
