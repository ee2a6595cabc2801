"""The routes of a session's pictures: thumbnails of a message's images, and one picture in its full size."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from compressor.errors import CompressorError, UnknownRefError
from compressor.service.api import ERROR_RESPONSES, REF_RESPONSES, JsonResponse
from compressor.service.dashboard.api import PRIVATE_HEADERS, open_inspector
from compressor.service.dashboard.session_images import MAX_THUMBNAILS, SessionImage, list_thumbnails, whole_picture
from compressor.service.http_errors import HttpError
from compressor.service.session_ids import SessionId as Id
from compressor.service.settings import Settings
from compressor.service.tenants import Tenant

HIDDEN = "pictures are not shown where all personal data is redacted: it cannot be removed from them"


def router(config: Settings) -> APIRouter:
    """Returns the routes.

    Args:
        config: The settings of the service.
    """
    routes = APIRouter()

    @routes.get(
        "/v1/sessions/{id}/messages/{number}/images", responses=ERROR_RESPONSES | REF_RESPONSES, tags=["sessions"]
    )
    async def thumbnails(
        request: Request,
        id: Id,
        number: int,
        after: Annotated[int, Query(description="Return only images of blocks with larger numbers.")] = -1,
        limit: Annotated[int, Query(ge=1, le=MAX_THUMBNAILS)] = MAX_THUMBNAILS,
    ) -> JsonResponse:
        """Returns thumbnails of the images of a message: `before`, and `after` if another picture is sent.

        Each is a `data:` URL of at most 8,000 characters; "" if there is none, and then `problem` says why. `hidden`
        says why the service shows no pictures; it is "" if it does.
        """
        tenant: Tenant = request.scope["compressor"][0]

        def run() -> dict[str, Any]:
            images = _images(tenant, id, number, config)
            if _is_hidden(tenant):
                return {"id": id, "number": number, "images": [], "more": False, "hidden": HIDDEN}
            return {"id": id, "number": number, **list_thumbnails(images, after, limit), "hidden": ""}

        return JsonResponse(await tenant.executor.run(run), headers=PRIVATE_HEADERS)

    @routes.get(
        "/v1/sessions/{id}/messages/{number}/images/{block}",
        responses=ERROR_RESPONSES | REF_RESPONSES,
        tags=["sessions"],
    )
    async def picture(
        request: Request,
        id: Id,
        number: int,
        block: int,
        sent: Annotated[bool, Query(description="Return the picture that is sent in place of the original.")] = False,
    ) -> JsonResponse:
        """Returns one picture of a message in its full size, as a `data:` URL."""
        tenant: Tenant = request.scope["compressor"][0]

        def run() -> dict[str, Any]:
            found = next((image for image in _images(tenant, id, number, config) if image.block == block), None)
            if found is None or _is_hidden(tenant):
                why = HIDDEN if found is not None else f"block {block} of message {number} is not an image"
                raise HttpError(404, "unknown_image", f"No picture: {why}")
            try:
                url = whole_picture(found, sent)
            except CompressorError as error:
                raise HttpError(404, "unknown_image", f"No picture: {error}") from None
            return {"id": id, "number": number, "block": block, "url": url}

        return JsonResponse(await tenant.executor.run(run), headers=PRIVATE_HEADERS)

    return routes


def _is_hidden(tenant: Tenant) -> bool:
    return tenant.config.redact == "all"


def _images(tenant: Tenant, id: str, number: int, config: Settings) -> list[SessionImage]:
    inspector, _, _ = open_inspector(tenant, id, config)
    try:
        return inspector.images(number)
    except UnknownRefError:
        raise HttpError(404, "unknown_message", f"Message {number} does not exist, or is not stored any more") from None
