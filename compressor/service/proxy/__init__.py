"""The provider's own API with a compressor in the way. `proxy` leads; the others are what it needs:

    bodies   -> what a request says, read once      exchange -> one request, and what became of it
    upstream -> connections to the provider         answers  -> what the client gets
    sse      -> events of a stream, in pieces

Chooses nothing to cut: sessions and `compressor_agents` do.
"""

from __future__ import annotations
