"""Runs the command line interface: `python -m compressor.cli`."""

from compressor.cli.main import main

main()
