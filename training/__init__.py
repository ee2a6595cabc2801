"""How the shipped weights were made, one command each. Not part of the installed package."""
