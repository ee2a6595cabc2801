"""Compiled versions of functions that read text character by character.

Each kernel is a `.pyx` file here and has a twin in Python, next to the code that uses it. The twin is the reference: it
runs where the kernel was not built, and the tests compare the two. `COMPRESSOR_NATIVE=0` chooses the twins.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

#: The environment variable that switches the kernels off.
SWITCH = "COMPRESSOR_NATIVE"


def is_native_on() -> bool:
    """Returns whether compiled code may run: the kernels, and the encoder of `quicktok`."""
    return os.environ.get(SWITCH, "1") != "0"


def kernel_names() -> list[str]:
    """Returns the names of all kernels, built or not: each has its types in a `.pyi` file here."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.pyi"))


def load_kernel(name: str) -> ModuleType | None:
    """Returns the compiled module of that name, or None if it was not built or is switched off."""
    if not is_native_on():
        return None
    try:
        return importlib.import_module(f"compressor.native.{name}")
    except ImportError:
        return None


def missing_kernels() -> list[str]:
    """Returns the names of the kernels that do not run, because they were not built or are switched off."""
    return [name for name in kernel_names() if load_kernel(name) is None]
