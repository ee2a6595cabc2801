"""A provider's websockets: plays a script for `/v1/responses`, and echoes elsewhere. Real frames on a loopback port."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from support.scripted_responses import ResponsesWire
from support.scripted_wire import Fail, Reply, Usage, refusal

_wire = ResponsesWire()
Step = Reply | Fail | Callable[[dict[str, Any]], "Reply | Fail"]


class WebsocketProvider:
    """Keeps what it is told.

    Args:
        script: What `/v1/responses` answers to each `response.create`, in order.
        close: The close code and reason after the first message elsewhere, instead of an echo.
        flood: What is sent after the first message elsewhere, instead of an echo.
        refuse: The HTTP status of each handshake instead of 101.
    """

    def __init__(
        self,
        script: Sequence[Step] = (),
        close: tuple[int, str] | None = None,
        refuse: int | None = None,
        flood: Sequence[bytes] = (),
    ) -> None:
        self.script, self.close, self.refuse, self.flood = list(script), close, refuse, flood
        self.flooded = 0
        self.events: list[dict[str, Any]] = []
        self.handshakes: list[tuple[str, dict[str, str]]] = []
        self.closed: list[tuple[int | None, str]] = []
        self.problems: list[str] = []
        self.url = ""

    def __enter__(self) -> WebsocketProvider:
        from websockets.sync.server import serve

        self._server = serve(
            self._talk,
            "127.0.0.1",
            0,
            process_request=self._refuse,
            select_subprotocol=lambda _, offered: offered[0] if offered else None,
            max_size=None,
        )
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)

    @property
    def creates(self) -> list[dict[str, Any]]:
        """The `response.create` events."""
        return [event for event in self.events if event["type"] == "response.create"]

    def _refuse(self, connection: Any, request: Any) -> Any:
        self.handshakes.append((request.path, {name.lower(): value for name, value in request.headers.raw_items()}))
        if self.refuse is None:
            return None
        answer = connection.respond(HTTPStatus(self.refuse), '{"error": {"message": "theirs to say"}}')
        answer.headers["x-request-id"] = "req_theirs"
        return answer

    def _talk(self, connection: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                message = connection.recv()
                if connection.request.path.startswith("/v1/responses"):
                    self._answer(connection, json.loads(message))
                elif self.close is not None:
                    connection.close(*self.close)
                elif self.flood:
                    for part in self.flood:
                        connection.send(part)
                        self.flooded += 1
                else:
                    connection.send(message)
        except ConnectionClosed as error:
            received = error.rcvd
            self.closed.append((received.code, received.reason) if received else (None, ""))

    def _answer(self, connection: Any, event: dict[str, Any]) -> None:
        self.events.append(event)
        if event["type"] != "response.create":
            connection.send(json.dumps({"type": "noted", "what": event["type"]}))
            return
        lane = {"stream_id": event["stream_id"]} if "stream_id" in event else {}
        number = len(self.creates) - 1
        wrong = None if event.get("previous_response_id") else refusal(_wire, event)
        step: Any = Fail(400, wrong) if wrong else self.script.pop(0)
        if wrong:
            self.problems.append(wrong)
        step = step(event) if callable(step) else step
        if isinstance(step, Fail):
            error = {"type": "invalid_request_error", "code": "scripted", "message": step.message}
            connection.send(json.dumps({"type": "error", "status": step.status, "error": error} | lane))
            return
        for one in _wire.events(step, number, step.usage or Usage(100, 0, 10), event):
            connection.send(json.dumps(one | lane))
