"""Compiled versions of functions that read text character by character.

Each kernel is a `.pyx` file here and has a twin in Python, next to the code that uses it. The twin is the reference: it
runs where the kernel was not built, and the tests compare the two. `COMPRESSOR_NATIVE=0` chooses the twins.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType

#: The kernels, by the names of their modules.
KERNELS: tuple[str, ...] = ("json_units", "json_values", "layout", "sentences")
_SWITCH = "COMPRESSOR_NATIVE"


def load_kernel(name: str) -> ModuleType | None:
    """Returns the compiled module of that name, or None if it was not built or is switched off."""
    if os.environ.get(_SWITCH, "1") == "0":
        return None
    try:
        return importlib.import_module(f"compressor.native.{name}")
    except ImportError:
        return None


def missing_kernels() -> list[str]:
    """Returns the names of the kernels that do not run, because they were not built or are switched off."""
    return [name for name in KERNELS if load_kernel(name) is None]
