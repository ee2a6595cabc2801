"""The data model: what is sent to a model, in one form for all message formats."""
