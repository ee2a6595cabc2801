"""The control plane without a running service: the same routes, called in this process, for `compressor admin`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI, Request

from compressor.errors import CompressorError
from compressor.service.admin.control_plane import ControlPlane
from compressor.service.admin.key_file import KeyFile
from compressor.service.admin.key_routes import key_router
from compressor.service.admin.requests import ERASE_TIMEOUT, AdminExecutor
from compressor.service.admin.routes import admin_routers
from compressor.service.api import JsonResponse
from compressor.service.auth import ApiKey
from compressor.service.dashboard.usage_recorder import UsageRecorder
from compressor.service.error_answers import answer_errors
from compressor.service.http_errors import to_http_error
from compressor.service.key_directory import KeyDirectory
from compressor.service.settings import Settings
from compressor.service.telemetry.metrics import Metrics
from compressor.service.tenants import Tenants

T = TypeVar("T")


class LocalAdmin:
    """Answers requests of the control plane from the store of a configuration, as `/admin/v1` of a service would.

    Args:
        config: The settings of the service.

    Raises:
        CompressorError: The store cannot be opened.
    """

    def __init__(self, config: Settings) -> None:
        self._tenants = Tenants(config)
        recorder = UsageRecorder(Metrics(), self._tenants.usage_source)
        plane = ControlPlane(config, self._tenants, KeyDirectory(config.keys, config.needs_keys), recorder)
        self._api = _make_api(config)
        for one in admin_routers(plane):
            self._api.include_router(one)

    def request(
        self, method: str, path: str, params: Mapping[str, Any] | None = None, body: Any = None
    ) -> tuple[int, Any]:
        """Returns the status and the JSON of an answer.

        Args:
            method: The HTTP method.
            path: The path, which begins with `/admin/v1`.
            params: The parameters in the query.
            body: The JSON of the body.
        """
        return _call(self._api, method, path, params, body)

    def close(self) -> None:
        """Closes the store."""
        self._tenants.close()


class LocalKeyFile:
    """Answers the requests for keys from a key file.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self._api = _make_api(Settings())
        self._api.include_router(key_router(_KeyFilePlane(path), AdminExecutor(ERASE_TIMEOUT)))

    def request(
        self, method: str, path: str, params: Mapping[str, Any] | None = None, body: Any = None
    ) -> tuple[int, Any]:
        """Returns the status and the JSON of an answer, see `LocalAdmin.request`."""
        return _call(self._api, method, path, params, body)

    def close(self) -> None:
        """Does nothing: the file is open during a request only."""


class _KeyFilePlane:
    """The keys of a key file, as the routes need them."""

    def __init__(self, path: str) -> None:
        self.keys = KeyFile(path)
        self.directory = _KeyFileDirectory(self.keys)

    def refresh(self) -> None:
        """Does nothing: the file is read each time."""

    def audited(self, who: str, act: str, target: str, run: Callable[[], T], **details: Any) -> T:
        """Runs what an administrator asked for. A file has no audit log."""
        return run()


class _KeyFileDirectory(KeyDirectory):
    def __init__(self, file: KeyFile) -> None:
        super().__init__((), True)
        self._file = file

    def file_keys(self) -> tuple[ApiKey, ...]:
        """Returns the keys that are in the file now."""
        return tuple(self._file.list_keys())


def _make_api(config: Settings) -> FastAPI:
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    api.state.config = config
    answer_errors(api)

    async def explain(_: Request, error: Exception) -> JsonResponse:
        # A service tells its clients less, but here the reader is the operator.
        known = to_http_error(error)
        return JsonResponse({"error": {"type": known.kind, "message": str(error)}}, known.status)

    api.add_exception_handler(CompressorError, explain)
    return api


def _call(api: FastAPI, method: str, path: str, params: Mapping[str, Any] | None, body: Any) -> tuple[int, Any]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await api({**scope, "compressor.admin": True, "compressor.key_id": "local"}, receive, send)

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://local") as client:
            return await client.request(method, path, params=params, json=body, timeout=None)

    answer = asyncio.run(call())
    return answer.status_code, answer.json()
