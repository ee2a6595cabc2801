"""How every number in the README was made: `python -m benchmarks`. Reads recorded data, writes `results/`."""
