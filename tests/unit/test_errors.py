"""Errors survive the way from one process to another: a pool whose worker raises one would hang otherwise."""

from __future__ import annotations

import importlib
import inspect
import pickle

import pytest

from compressor import errors
from compressor.errors import CompressorError
from compressor.storage.circuit_breaker import StoreFullError, StoreUnavailableError

KINDS = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, CompressorError)]
GIVEN = {
    "budget": 10,
    "needed": 20,
    "ref": "123456789012",
    "count": 3,
    "index": 4,
    "package": "torch",
    "extra": "models",
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_can_be_pickled(kind: type[CompressorError]) -> None:
    wanted = (
        inspect.signature(kind.__init__).parameters if "__init__" in vars(kind) else {"self": None, "message": None}
    )
    error = kind(*(GIVEN.get(name, f"the {name}") for name in list(wanted)[1:]))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))


CODES: dict[type[CompressorError], str] = {
    errors.ContextError: "invalid_context",
    errors.BudgetError: "invalid_budget",
    errors.BudgetTooSmallError: "budget_too_small",
    errors.TokenizerError: "tokenizer_error",
    errors.RefError: "ref_error",
    errors.UnknownRefError: "unknown_ref",
    errors.ExpiredRefError: "expired_ref",
    errors.SessionConflictError: "conflict",
    errors.StoreError: "store_error",
    errors.ModelError: "model_error",
    errors.DeviceError: "device_error",
    errors.QueueFullError: "overloaded",
    errors.ImageRefusedError: "image_refused",
    errors.OcrError: "ocr_error",
    errors.MissingDependencyError: "missing_dependency",
    StoreUnavailableError: "unavailable",
    StoreFullError: "no_room",
    CompressorError: "compressor_error",
}


def test_clients_can_rely_on_the_code_of_an_error() -> None:
    assert {kind: kind.code for kind in CODES} == CODES
    assert set(KINDS) <= set(CODES)


ALIASES = {
    "BudgetTooSmall": errors.BudgetTooSmallError,
    "UnknownRef": errors.UnknownRefError,
    "ExpiredRef": errors.ExpiredRefError,
    "InvalidContext": errors.ContextError,
    "InvalidBudget": errors.BudgetError,
    "Conflict": errors.SessionConflictError,
    "Overloaded": errors.QueueFullError,
    "MissingExtra": errors.MissingDependencyError,
}


@pytest.mark.parametrize("name", ALIASES)
def test_an_old_name_catches_the_error_and_can_be_pickled(name: str) -> None:
    alias = getattr(importlib.import_module("compressor.errors"), name)
    assert alias is ALIASES[name]
    by_old_name = f"ccompressor.errors\n{name}\n.".encode()  # what an older version has pickled for the class
    assert pickle.loads(by_old_name) is alias
    assert pickle.loads(pickle.dumps(alias)) is alias


def test_old_names_are_imported_from_the_package_too() -> None:
    from compressor import BudgetTooSmall, ExpiredRef, UnknownRef

    assert (BudgetTooSmall, UnknownRef, ExpiredRef) == tuple(list(ALIASES.values())[:3])
    with pytest.raises(BudgetTooSmall) as caught:
        raise errors.BudgetTooSmallError(10, 20)
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, BudgetTooSmall) and (again.budget, again.needed) == (10, 20)
