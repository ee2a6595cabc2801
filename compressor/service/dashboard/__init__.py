"""The page at `/` and the data behind it.

Modules: `time_series` (counts by minute and hour), `usage_recorder` (stores them, for all workers), `session_inspector`
(what happened to each message of a session), `text_alignment` (which parts of a text were kept), `api` (the routes).
The folder `page` has the HTML, CSS and JavaScript.
"""

from __future__ import annotations
