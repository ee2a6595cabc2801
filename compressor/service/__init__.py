"""The service: one compressor for many agents, as an HTTP API and as a proxy in front of the provider.

    config  -> what it is told           auth     -> who may ask, and for which tenant
    gate    -> every request comes here  tenants  -> what each tenant has to itself
    routes  -> the HTTP API              proxy    -> the provider's own API, compressed on the way
    app     -> puts them together        command  -> `compressor serve`

Needs the extra "service". Compresses nothing itself.
"""

from __future__ import annotations
