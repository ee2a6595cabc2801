"""Hypothesis for tests that can be collected without it: property tests are then skipped, and the others still run.

Import `given`, `settings`, `st` and their like from here. HYPOTHESIS_PROFILE chooses how hard the tests try:

* repeatable (the default): the same examples in every run, so that CI fails for the change that it is given. More of
  them find nothing that the first have not found, so they are few.
* fast: the same, with very few examples of each test.
* search: new examples in each run, as many as a test asks for, to look for what nobody has thought of.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

__all__ = ["HealthCheck", "assume", "example", "given", "settings", "st"]

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "repeatable")
MAX_EXAMPLES = {"fast": 5, "repeatable": 100}

if TYPE_CHECKING:
    from hypothesis import HealthCheck, assume, example, given, settings
    from hypothesis import strategies as st
else:
    try:
        import hypothesis
        from hypothesis import HealthCheck, assume, example, given
        from hypothesis import strategies as st
    except ImportError:

        class _Missing:
            """Stands for anything of hypothesis in a module that is being imported without it."""

            def __getattr__(self, name: str) -> _Missing:
                if name.startswith("__"):
                    raise AttributeError(name)
                return self

            def __call__(self, *args: Any, **options: Any) -> _Missing:
                return self

            def __or__(self, other: Any) -> _Missing:
                return self

            def __iter__(self) -> Iterator[Any]:
                return iter(())

        HealthCheck = assume = st = _Missing()

        def given(*strategies: Any, **named: Any) -> Callable[[Any], Any]:
            def skipped(test: Callable[..., Any]) -> Callable[..., Any]:
                def property_test(**arguments: Any) -> None:
                    raise AssertionError("this test is skipped")

                # What is left for pytest: parameters and fixtures, without what hypothesis would have given.
                left = [p for p in inspect.signature(test).parameters.values() if p.name not in named]
                property_test.__signature__ = inspect.Signature(left[: len(left) - len(strategies)])
                property_test.__name__, property_test.__doc__ = test.__name__, test.__doc__
                property_test.pytestmark = [
                    *getattr(test, "pytestmark", []),
                    pytest.mark.skip(reason="hypothesis is not installed").mark,
                ]
                return property_test

            return skipped

        def _unchanged(*args: Any, **options: Any) -> Callable[[Any], Any]:
            return lambda test: test

        settings = example = _unchanged
    else:
        # A busy machine makes no test fail: how fast an example is made, or runs, says nothing about the code.
        calm: Any = {"suppress_health_check": [hypothesis.HealthCheck.too_slow], "deadline": None}
        for name, most in MAX_EXAMPLES.items():
            hypothesis.settings.register_profile(name, derandomize=True, max_examples=most, **calm)
        hypothesis.settings.register_profile("search", derandomize=False, **calm)
        hypothesis.settings.load_profile(PROFILE)

        def settings(**options: Any) -> hypothesis.settings:
            if PROFILE in MAX_EXAMPLES and "max_examples" in options:
                options["max_examples"] = min(options["max_examples"], MAX_EXAMPLES[PROFILE])
            if given := options.get("suppress_health_check"):
                options["suppress_health_check"] = [*given, hypothesis.HealthCheck.too_slow]
            return hypothesis.settings(**options)
