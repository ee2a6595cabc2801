"""The provider's own API, compressed on the way.

Modules: `proxy` (the application), `request_body` (what a request says, parsed once), `exchange` (one request and its
outcome), `upstream` (connections to the provider), `responses` (what the client gets), `sse` (events of a stream).

What to compress is decided by sessions and `compressor.providers`.
"""

from __future__ import annotations
