"""Runs models: devices, batches and worker threads."""
