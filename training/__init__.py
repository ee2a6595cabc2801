"""Makes the shipped weights, with one command for each file. Not part of the installed package."""
