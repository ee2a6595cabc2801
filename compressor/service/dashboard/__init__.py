"""The page at `/` and the data behind it.

Modules: `time_series` (counts by minute and hour), `durations` (their percentiles), `breakdown` (counts by tool, model
and reason), `tool_shares` (what each tool saved), `usage_recorder` and `tenant_usage` (store them, for all workers),
`call_log` (the last calls), `watch_mark` (whether somebody looks), `session_inspector` (what happened to each message
of a session), `turn_summary` (what a message holds, in a line), `session_images` (the pictures), `text_alignment` and
`token_alignment` (which parts of a text were kept), `api`, `breakdown_api` and `image_api` (the routes).
The folder `page` has the HTML, CSS and JavaScript.
"""

from __future__ import annotations
