"""The control plane: keys, settings of tenants, sessions, erasure and the audit log, while the service runs.

Routes under `/admin/v1` and the command `compressor admin` use it. What it changes is a record in a log that all
workers of all machines read four times a second.
"""
