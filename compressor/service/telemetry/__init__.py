"""What operators see: `metrics` for Prometheus, `logs`, `tracing` for OpenTelemetry. None of it holds content.

`reasons` gives what goes wrong a closed set of names, `saving` notices a service that is on and saves nothing.
"""

from __future__ import annotations
