"""The command line interface: one module for each larger command, and what the commands share."""
