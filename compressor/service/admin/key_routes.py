"""The routes for keys under `/admin/v1/keys`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, Protocol, TypeVar

from fastapi import APIRouter, Query, Request

from compressor.service.admin import key_operations as operations
from compressor.service.admin.key_database import describe_keys
from compressor.service.admin.requests import (
    CONFLICT,
    HEADERS,
    NOT_FOUND,
    AdminExecutor,
    KeyPath,
    Limit,
    Offset,
    make_admin_router,
    page,
    who,
)
from compressor.service.admin.schemas import (
    KeyChangeRequest,
    NewKeyRequest,
    RotateRequest,
    parse_expires,
    parse_overlap,
)
from compressor.service.api import JsonResponse, JsonRoute
from compressor.service.auth import ApiKey
from compressor.service.http_errors import HttpError
from compressor.service.key_directory import KeyDirectory

T = TypeVar("T")


class KeyPlane(Protocol):
    """What the routes need: `ControlPlane`, or a key file."""

    @property
    def keys(self) -> operations.KeyStore:
        """Where the keys are kept."""
        ...

    @property
    def directory(self) -> KeyDirectory:
        """The keys that are valid now."""
        ...

    def refresh(self) -> None:
        """Applies what others have changed until now."""
        ...

    def audited(self, who: str, act: str, target: str, run: Callable[[], T], **details: Any) -> T:
        """Runs what an administrator asked for, and records it."""
        ...


def key_router(plane: KeyPlane, executor: AdminExecutor) -> APIRouter:
    """Returns the routes.

    Args:
        plane: Has the keys.
        executor: Runs the work.
    """
    routes = make_admin_router("/admin/v1/keys", JsonRoute)

    def answer(key: ApiKey, plain: str = "", **more: Any) -> JsonResponse:
        (described,) = describe_keys([key], plane.directory.file_keys())
        shown = {"key": plain} if plain else {}
        return JsonResponse({**shown, **described, **more}, 201 if plain else 200, headers=HEADERS)

    @routes.get("")
    async def list_keys(
        request: Request,
        tenant: Annotated[str, Query(max_length=64, description="Only keys of this tenant.")] = "",
        state: Annotated[Literal["valid", "expired", "blocked"] | None, Query(description="Only these.")] = None,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> JsonResponse:
        """Returns the keys, ordered by tenant and age. None can be read: only hashes are stored."""

        def run() -> list[ApiKey]:
            plane.refresh()
            found = plane.keys.list_keys()
            return [key for key in found if (not tenant or key.tenant == tenant) and state in (None, key.state())]

        described = describe_keys(await executor.run(run), plane.directory.file_keys())
        keys, where = page(described, limit, offset)
        return JsonResponse({"keys": keys, **where}, headers=HEADERS)

    @routes.post("", status_code=201, responses=CONFLICT)
    async def create_key(request: Request, body: NewKeyRequest) -> JsonResponse:
        """Makes a key. It is shown in this answer only."""
        if not plane.directory.is_required:
            raise HttpError(
                409, "no_keys", "This service runs without keys: start it with key_store=database or --keys FILE"
            )
        expires = parse_expires(body.expires, time.time())

        def run() -> tuple[str, ApiKey]:
            made = operations.create_key(plane.keys, body.tenant, body.admin, expires)
            plane.refresh()
            return made

        details = {"admin": body.admin}
        plain, key = await executor.run(lambda: plane.audited(who(request), "key.create", body.tenant, run, **details))
        return answer(key, plain)

    @routes.get("/{id}", responses=NOT_FOUND)
    async def show_key(request: Request, id: KeyPath) -> JsonResponse:
        """Returns a key's entry."""

        def run() -> ApiKey:
            plane.refresh()
            return operations.find_by_id(plane.keys.list_keys(), id)

        return answer(await executor.run(run))

    @routes.patch("/{id}", responses=NOT_FOUND | CONFLICT)
    async def change_key(request: Request, id: KeyPath, body: KeyChangeRequest) -> JsonResponse:
        """Blocks or unblocks a key, or sets when it ends. All workers follow within a second."""
        now, given = time.time(), body.model_fields_set
        expires = parse_expires(body.expires, now)
        if not given or (given == {"blocked"} and body.blocked is None):
            raise HttpError(422, "invalid_request", "Give blocked (true or false), or expires")

        def run() -> ApiKey:
            plane.refresh()
            if body.blocked or (expires is not None and expires <= now):
                operations.require_other_admin(plane.keys.list_keys(), id)

            def change(key: ApiKey) -> ApiKey:
                blocked = key.blocked if body.blocked is None else body.blocked
                return replace(key, blocked=blocked, expires=expires if "expires" in given else key.expires)

            changed = operations.change_key(plane.keys, id, change)
            plane.refresh()
            return changed

        act = "key.expire" if body.blocked is None else "key.block" if body.blocked else "key.unblock"
        return answer(await executor.run(lambda: plane.audited(who(request), act, id, run)))

    @routes.post("/{id}/rotate", status_code=201, responses=NOT_FOUND | CONFLICT)
    async def rotate_key(request: Request, id: KeyPath, body: RotateRequest | None = None) -> JsonResponse:
        """Makes a new key in place of an old one, which stays valid for the overlap."""
        overlap = parse_overlap(body.overlap if body else 0)

        def run() -> tuple[str, ApiKey, ApiKey]:
            made = operations.rotate_key(plane.keys, id, overlap)
            plane.refresh()
            return made

        plain, key, old = await executor.run(
            lambda: plane.audited(who(request), "key.rotate", id, run, overlap=overlap)
        )
        return answer(key, plain, replaces=describe_keys([old], plane.directory.file_keys())[0])

    @routes.delete("/{id}", responses=NOT_FOUND | CONFLICT)
    async def delete_key(request: Request, id: KeyPath) -> JsonResponse:
        """Deletes a key's entry. Whoever has the key is refused from then on."""

        def run() -> ApiKey:
            plane.refresh()
            operations.require_other_admin(plane.keys.list_keys(), id)
            deleted = operations.delete_key(plane.keys, id)
            plane.refresh()
            return deleted

        key = await executor.run(lambda: plane.audited(who(request), "key.delete", id, run))
        return JsonResponse({"deleted": key.id, "tenant": key.tenant}, headers=HEADERS)

    return routes
