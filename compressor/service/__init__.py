"""The service: one compressor for many agents, as an HTTP API and as a proxy in front of the provider.

Modules:
    settings, settings_sources: what can be configured, and where values come from.
    request_handler: receives every request; `auth` finds its tenant, `request_limits` bounds its body.
    limits: admits the requests of a tenant, in all processes together.
    tenants: what each tenant has for itself.
    conversations: finds the conversation of a request; `sharing` lets other processes continue it.
    admin: the control plane: keys, settings, erasure, the audit log.
    api: the HTTP API; `schemas` describes its bodies.
    proxy: the provider's own API, compressed on the way.
    dashboard: the page at `/`.
    telemetry: metrics, logs and traces.
    app: puts it together; `processes` runs it.

It needs the extra "service".
"""

from __future__ import annotations
