"""See base.py."""
