"""The service: one compressor for many agents, as an HTTP API and as a proxy in front of the provider.

    config  -> what it is told           auth      -> who may ask, and for which tenant
    gate    -> every request comes here  tenants   -> what each tenant has to itself
    routes  -> the HTTP API              proxying  -> the provider's own API, compressed on the way
    app     -> puts them together        dashboard -> the page at `/`
    command -> `compressor serve`        telemetry -> metrics, logs, traces

Needs the extra "service". Compresses nothing itself.
"""

from __future__ import annotations
