"""What operators see: Prometheus metrics, logs, and OpenTelemetry traces. None of it holds content.

Modules: `records` (what is recorded), `session_usage` (what a conversation has used since its last event), `metrics`,
`first_token` (notices the first token of a stream), `logging`, `tracing`, `warning_categories` (a closed set of names
for what goes wrong) and `no_savings_alert` (notices a service that is enabled and saves nothing).
"""

from __future__ import annotations
