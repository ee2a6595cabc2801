"""Makes the async twin of a blocking method, such as `Compressor.acompress` of `Compressor.compress`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from compressor.scoring.runtime.executor import run_in_thread

P = ParamSpec("P")
R = TypeVar("R")
Self = TypeVar("Self")


def make_async_twin(
    method: Callable[Concatenate[Self, P], R],
) -> Callable[Concatenate[Self, P], Coroutine[Any, Any, R]]:
    """Returns a coroutine method with the same parameters that runs a blocking method in a worker thread.

    The method is looked up by name at each call, so the twin of an overridden method runs the override.

    Args:
        method: A method of a class, say `read`. Assign its twin to `aread` in the same class.
    """
    name = method.__name__

    @wraps(method)
    async def twin(self: Self, /, *args: P.args, **options: P.kwargs) -> R:
        return await run_in_thread(getattr(self, name), *args, **options)

    twin.__name__ = f"a{name}"
    twin.__qualname__ = method.__qualname__.removesuffix(name) + twin.__name__
    twin.__doc__ = f"Runs `{name}` in a worker thread, with the same arguments."
    return twin
