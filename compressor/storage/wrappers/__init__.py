"""Stores that wrap another store to add resilience, encryption, redaction, namespaces or scopes."""
