"""The page at `/` and the data behind it.

book   -> a tenant's counts of this process      ledger -> those of all processes, kept in the store
spans  -> what of a text is still there          anatomy -> a session's messages, part by part
routes -> the page, and its data as JSON         page   -> HTML, CSS and modules, served as they are
"""

from __future__ import annotations
