"""Defines all exceptions that this package raises on purpose.

    CompressorError
    ├── ContextError             the messages or documents cannot be read; `.index` is the wrong message
    ├── BudgetError              the budget is neither a positive number of tokens nor a fraction in (0, 1)
    ├── BudgetTooSmallError      what must stay is larger than the budget; `.budget`, `.needed`
    ├── TokenizerError           a tokenizer file is missing, corrupt or of an unknown kind
    ├── RefError                 a ref cannot be expanded; `.ref`
    │   ├── UnknownRefError      nothing was ever stored under this ref in this store
    │   └── ExpiredRefError      the original was stored; its TTL or the store's size limit has removed it
    ├── SessionConflictError     a session holds other messages than the caller assumes; `.count`
    ├── StoreError               the store cannot be opened, read or written
    ├── ModelError               a model file is missing, corrupt or of a kind that cannot be run
    ├── DeviceError              the requested device is not available; `.device`
    ├── QueueFullError           the queue of a scoring worker is full, or its deadline has passed
    ├── ImageRefusedError        a picture is damaged, too large or of a kind that is sent as it is
    ├── OcrError                 the OCR engine failed on a picture, or took too long
    └── MissingDependencyError   an optional dependency is not installed; the message says what to install

The names without `Error` at the end are aliases. `BudgetTooSmall`, `UnknownRef` and `ExpiredRef` stay; the others will
be removed after one release.
"""

from __future__ import annotations

from typing import Any, ClassVar


class CompressorError(Exception):
    """Base class of all exceptions of this package. They can be pickled, so workers of a process pool may raise them.

    Example:
        >>> try:
        ...     result = compressor.compress(messages, budget=4_000)  # doctest: +SKIP
        ... except BudgetTooSmallError as error:
        ...     print(f"at least {error.needed} tokens are needed")
        ... except CompressorError as error:
        ...     print(error.code, error)

    Attributes:
        code: A stable machine-readable name, used by the HTTP API and the metrics.
    """

    code: ClassVar[str] = "compressor_error"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ContextError(CompressorError, ValueError):
    """The messages, documents, tools or examples cannot be read.

    Attributes:
        text: The message of the error without the index.
        index: The index of the wrong message, document, tool or example, or None.
        noun: What is wrong: "message", "example", ...
    """

    code = "invalid_context"

    def __init__(self, message: str, index: int | None = None, noun: str = "message") -> None:
        super().__init__(message if index is None else f"{noun} {index}: {message}")
        self.text = message
        self.index = index
        self.noun = noun

    def with_index_offset(self, by: int) -> ContextError:
        """Returns the same error for a list in which the wrong message comes `by` places later."""
        return self if by == 0 or self.index is None else ContextError(self.text, self.index + by, self.noun)


class BudgetError(CompressorError, ValueError):
    """The budget is neither a positive number of tokens nor a fraction in (0, 1)."""

    code = "invalid_budget"


class BudgetTooSmallError(CompressorError):
    """What must stay verbatim is larger than the budget.

    Attributes:
        budget: The budget in tokens.
        needed: The tokens of what must stay.
    """

    code = "budget_too_small"

    def __init__(self, budget: int, needed: int, hint: str = "") -> None:
        text = f"budget of {budget} tokens is too small: what must stay needs {needed} tokens"
        super().__init__(f"{text} ({hint})" if hint else text)
        self.budget = budget
        self.needed = needed


class TokenizerError(CompressorError):
    """A tokenizer file is missing, corrupt or of an unknown kind."""

    code = "tokenizer_error"


class RefError(CompressorError, LookupError):
    """A ref cannot be expanded.

    Attributes:
        ref: The ref.
    """

    code = "ref_error"

    def __init__(self, message: str, ref: str) -> None:
        super().__init__(message)
        self.ref = ref


class UnknownRefError(RefError):
    """Nothing was ever stored under this ref in this store."""

    code = "unknown_ref"

    def __init__(self, ref: str) -> None:
        super().__init__(f"unknown ref {ref!r}: nothing was stored under it in this store", ref)


class ExpiredRefError(RefError):
    """The original was stored, but its TTL or the store's size limit has removed it."""

    code = "expired_ref"

    def __init__(self, ref: str) -> None:
        super().__init__(f"ref {ref!r} has expired: its original is no longer stored", ref)


class SessionConflictError(CompressorError):
    """A session holds other messages than the caller assumes.

    Attributes:
        count: The number of messages that the session holds.
    """

    code = "conflict"

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


class StoreError(CompressorError):
    """The store cannot be opened, read or written."""

    code = "store_error"


class ModelError(CompressorError):
    """A scoring model is missing, corrupt, of an unsupported architecture, or returned NaN or infinity."""

    code = "model_error"


class DeviceError(CompressorError):
    """The requested device is not available.

    Attributes:
        device: The name of the device.
    """

    code = "device_error"

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(f"device {device!r} cannot be used: {reason}")
        self.device = device


class QueueFullError(CompressorError):
    """A scoring worker refused the work: its queue is full, or the deadline passed before the work started."""

    code = "overloaded"


class ImageRefusedError(CompressorError, ValueError):
    """A picture is not decoded, because it is damaged, too large or of a kind that must be sent as it is."""

    code = "image_refused"


class OcrError(CompressorError):
    """The OCR engine failed on a picture, or took too long."""

    code = "ocr_error"


class MissingDependencyError(CompressorError, ImportError):
    """An optional dependency is not installed.

    Attributes:
        extra: The extra of this package that installs it.
    """

    code = "missing_dependency"

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'agentic-compressor[{extra}]'")
        self.extra = extra


def _rebuild(kind: type[CompressorError], args: tuple[Any, ...], fields: dict[str, Any]) -> CompressorError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


# These aliases stay.
BudgetTooSmall = BudgetTooSmallError
UnknownRef = UnknownRefError
ExpiredRef = ExpiredRefError

# These aliases will be removed after one release.
InvalidContext = ContextError
InvalidBudget = BudgetError
Conflict = SessionConflictError
Overloaded = QueueFullError
MissingExtra = MissingDependencyError
