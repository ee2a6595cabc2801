"""What all routes of the control plane share: who may use them, who is recorded, and how work runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.routing import APIRoute

from compressor.service.api import ERROR_RESPONSES
from compressor.service.auth import TENANT_NAME
from compressor.service.http_errors import HttpError
from compressor.service.schemas import ErrorResponse
from compressor.service.tenant_executor import MAX_THREADS_PER_TENANT, TenantExecutor

T = TypeVar("T")
ERASE_TIMEOUT = 600.0  # seconds; a large store takes its time
#: What is answered without caching, because it is nobody's but the administrator's.
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
ADMIN_RESPONSES: dict[int | str, dict[str, Any]] = ERROR_RESPONSES | {
    403: {"model": ErrorResponse, "description": "The key is not an admin key."}
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorResponse, "description": "It does not exist."}}
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": ErrorResponse, "description": "It cannot be changed."}}
TenantPath = Annotated[str, Path(pattern=f"^{TENANT_NAME}$", examples=["search"], description="The tenant's name.")]
RefPath = Annotated[str, Path(max_length=200, examples=["123456789012"], description="The ref of an original.")]
KeyPath = Annotated[str, Path(max_length=64, examples=["9f86d081884c"], description="The id of the key.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="The maximum number of entries.")]
Offset = Annotated[int, Query(ge=0, le=10_000_000, description="How many entries to leave out at the beginning.")]


def require_admin(request: Request) -> None:
    """Lets only admin keys pass.

    Raises:
        HttpError: 403 for another key.
    """
    if not request.scope.get("compressor.admin"):
        raise HttpError(
            403,
            "not_admin",
            "This needs an admin key: `compressor admin key create --admin` makes one, and in a key file it is the "
            "word admin after the hash",
        )


def make_admin_router(prefix: str, route_class: type[APIRoute] = APIRoute) -> APIRouter:
    """Returns a router whose routes are for admin keys only.

    Args:
        prefix: The beginning of their paths.
        route_class: What serves each of them; `JsonRoute` for those that take a body.
    """
    return APIRouter(
        prefix=prefix,
        route_class=route_class,
        dependencies=[Depends(require_admin)],
        responses=ADMIN_RESPONSES,
        tags=["admin"],
    )


def who(request: Request) -> str:
    """Returns the name of whoever sends a request in the audit log: the id of the key, or "local"."""
    return str(request.scope.get("compressor.key_id") or "local")


def page(entries: Sequence[T], limit: int, offset: int) -> tuple[Sequence[T], dict[str, Any]]:
    """Returns one page of a list, and the fields that say where it is."""
    found = entries[offset : offset + limit]
    more = offset + limit if offset + limit < len(entries) else None
    return found, {"total": len(entries), "offset": offset, "next_offset": more}


class AdminExecutor:
    """Runs the work of the control plane in threads of its own, so that a busy tenant does not delay it.

    Args:
        timeout: Seconds that a request may take.
    """

    def __init__(self, timeout: float) -> None:
        self._short = TenantExecutor(MAX_THREADS_PER_TENANT, timeout)
        self._long = TenantExecutor(2, ERASE_TIMEOUT)

    async def run(self, function: Callable[[], T]) -> T:
        """Returns the result of a function, called in a thread."""
        return await self._short.run(function)

    async def run_long(self, function: Callable[[], T]) -> T:
        """Returns the result of a function that may take minutes."""
        return await self._long.run(function)
