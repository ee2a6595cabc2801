"""Runs the command line interface: `python -m compressor`."""

from compressor.cli.main import main

main()
