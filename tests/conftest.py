"""What all tests share: hypothesis draws the same examples in every run, so that CI fails for the change it is given.

HYPOTHESIS_PROFILE=search draws new ones, to look for what nobody has thought of.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
