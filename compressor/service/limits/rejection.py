"""The answer to a request that a limit of this service refuses: 429, in a form that names whose limit it is.

The SDKs of OpenAI and Anthropic retry a 429 after `retry-after-ms` or `retry-after`. `x-should-retry: false` stops them
where waiting that long makes no sense.
"""

from __future__ import annotations

import math

from compressor.service.http_errors import HttpError

MAX_SDK_WAIT = 60.0  # seconds; the SDKs do not wait longer


class RateLimitedError(HttpError):
    """A request was refused by one of this service's own limits.

    Args:
        limit: The name of the limit: that of the setting, where there is one.
        message: The text for people.
        retry_after: Seconds until a request can be admitted.

    Attributes:
        limit: The name of the limit.
    """

    def __init__(self, limit: str, message: str, retry_after: float) -> None:
        wait = max(0.001, retry_after)
        headers = {
            "retry-after": str(math.ceil(wait)),
            "retry-after-ms": str(math.ceil(1000 * wait)),
            "x-compressor-limited-by": "compressor",
            "x-compressor-limit": limit,
        }
        if wait > MAX_SDK_WAIT:
            headers["x-should-retry"] = "false"
        fields = {"limit": limit, "limited_by": "compressor", "retry_after": math.ceil(wait)}
        super().__init__(429, "too_many_requests", message, headers, fields)
        self.limit = limit
