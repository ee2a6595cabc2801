"""Every error the package raises on purpose. Knows nothing else of the package.

CompressorError
├── InvalidContext      the messages (or documents) cannot be read; `.index` names the message
├── InvalidBudget       the budget is not a positive count of tokens or a share in (0, 1)
├── BudgetTooSmall      what must stay is larger than the budget; `.budget`, `.needed`
├── TokenizerError      a tokenizer file is missing, corrupt or of an unknown kind
├── RefError            `.ref`
│   ├── UnknownRef      nothing was ever stored under this ref here
│   └── ExpiredRef      it was stored, and its time (or the store's size limit) has passed
├── Conflict            a session has other messages than the caller takes it to have; `.count`
├── StoreError          the store cannot be opened, read or written
├── ModelError          a model file is missing, corrupt or of a kind we cannot run
├── DeviceError         the device that was demanded is not there; `.device`
├── Overloaded          a scoring worker's queue is full, or its deadline has passed
└── MissingExtra        an optional dependency is not installed; the message says what to install
"""

from __future__ import annotations

from typing import Any


class CompressorError(Exception):
    """Base of all errors raised by this package. They can be pickled: a pool's worker may raise one."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args, self.__dict__)


class InvalidContext(CompressorError, ValueError):
    """The input is not a context we can read. `index` is the offending message, if one is to blame."""

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message if index is None else f"message {index}: {message}")
        self.text = message
        self.index = index

    def moved(self, by: int) -> InvalidContext:
        """The same error about a list in which this message has another index."""
        return self if by == 0 or self.index is None else InvalidContext(self.text, self.index + by)


class InvalidBudget(CompressorError, ValueError):
    """The budget is neither a positive number of tokens nor a share in (0, 1)."""


class BudgetTooSmall(CompressorError):
    """What is pinned alone needs `needed` tokens, more than the `budget` given."""

    def __init__(self, budget: int, needed: int, hint: str = "") -> None:
        text = f"budget of {budget} tokens is too small: what must stay needs {needed} tokens"
        super().__init__(f"{text} ({hint})" if hint else text)
        self.budget = budget
        self.needed = needed


class TokenizerError(CompressorError):
    """A tokenizer could not be loaded."""


class RefError(CompressorError, LookupError):
    """A ref could not be resolved."""

    def __init__(self, message: str, ref: str) -> None:
        super().__init__(message)
        self.ref = ref


class UnknownRef(RefError):
    """Nothing was ever stored under this ref in this store."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"unknown ref {ref!r}: nothing was stored under it in this store", ref)


class ExpiredRef(RefError):
    """The original was stored, but its TTL or the store's size limit has removed it."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"ref {ref!r} has expired: its original is no longer stored", ref)


class Conflict(CompressorError):
    """A session has `count` messages, and not those that the caller takes it to have."""

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


class StoreError(CompressorError):
    """The store cannot be opened, read or written."""


class ModelError(CompressorError):
    """A scoring model is missing, corrupt, of an architecture we cannot run, or gives numbers that are none."""


class DeviceError(CompressorError):
    """The device that was demanded is not there."""

    def __init__(self, device: str, why: str) -> None:
        super().__init__(f"device {device!r} cannot be used: {why}")
        self.device = device


class Overloaded(CompressorError):
    """A scoring worker could not take the work: its queue is full, or the deadline passed before it came to it."""


class MissingExtra(CompressorError, ImportError):
    """An optional dependency is missing."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'agentic-compressor[{extra}]'")
        self.extra = extra


def _again(kind: type[CompressorError], args: tuple[Any, ...], fields: dict[str, Any]) -> CompressorError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error
