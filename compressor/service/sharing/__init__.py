"""Conversations that all workers and machines on one store continue.

Modules:
    shared_conversations: those without a name; `shared_sessions` those with one.
    shared_store: where they are; `state_log` is the log of one.
    response_ids: under which id a response ends at the provider.
"""

from __future__ import annotations
