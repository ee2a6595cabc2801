"""How the service runs: listening sockets, one process or several, signals, reloads and the end.

Modules:
    supervisor: keeps the workers running; `worker` is one of them, `process_link` what they say to each other.
    uvicorn_server: serves in one process; `drainable_app` ends requests, `http_protocol` bounds connections.
    settings_reloader: reads settings again while the service runs; `server_commands` tells the workers.
    listening_sockets, probe_app: the ports.
    terminal: what a closed terminal means.
"""

from __future__ import annotations
