"""Limits what a tenant may ask for: requests, tokens and dollars in a window, and work at a time.

rate_limiter: admits the requests of a tenant; `request_cost` finds what they cost, `rejection` is the 429.
limit: the limits that the settings configure; `counter_state` counts them.
local_counters, shared_counters: where the counts are: in this process, or in Redis or SQLite (`counter_store`).
"""
