"""Stores that wrap another store: resilience, encryption, redaction, write-behind."""
