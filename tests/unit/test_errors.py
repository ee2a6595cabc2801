"""Errors survive the way from one process to another: a pool whose worker raises one would hang otherwise."""

from __future__ import annotations

import inspect
import pickle

import pytest

from compressor import errors
from compressor.errors import CompressorError

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
