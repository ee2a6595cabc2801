"""The counters in Redis, in one round trip for a batch of operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compressor.service.limits import lua_scripts
from compressor.service.limits.counter_state import LEASE, PLACE_WAIT, CounterState
from compressor.service.limits.limit import BUCKETS, PLACES, WINDOW_LIMITS, Verdict
from compressor.service.limits.operations import WORKER_TTL, Admit, Operation, Renew, Reset, Settle, UnknownOutcomeError
from compressor.storage.circuit_breaker import StoreUnavailableError
from compressor.storage.redis.client import RedisClient
from compressor.storage.redis.keys import RedisKeys
from compressor.storage.redis.lua_scripts import LuaScript

CONNECT_TIMEOUT = TIMEOUT = 0.5  # seconds; the service counts by itself if Redis is slower
_LEASE_MS, _WAIT_MS, _WORKER_MS = round(LEASE * 1000), round(PLACE_WAIT * 1000), round(WORKER_TTL * 1000)
_Call = tuple[LuaScript, list[bytes], list[Any]]


class RedisCounters:
    """The counters of all tenants in Redis (a `Backend`).

    Args:
        url: The URL, in one of the forms that `RedisStore` lists.
        prefix: The first part of all keys.
    """

    def __init__(self, url: str, prefix: str = "acr") -> None:
        self._client = RedisClient(url, connect_timeout=CONNECT_TIMEOUT, timeout=TIMEOUT, retries=1)
        self._prefix = prefix
        self._keys: dict[str, RedisKeys] = {}

    @property
    def location(self) -> str:
        """The URL without user, password and options."""
        return f"the Redis at {self._client.location}"

    def execute(self, batch: Sequence[Operation]) -> list[Any]:
        """See `Backend.execute`."""
        calls = [self._call(operation) for operation in batch]

        def run(client: Any, _: bool) -> list[Any]:
            answers = self._send(client, calls)
            return [_parse(operation, answer) for operation, answer in zip(batch, answers, strict=True)]

        try:
            return self._client.run(run)
        except StoreUnavailableError as error:
            from redis.exceptions import TimeoutError as RedisTimeoutError

            cause = error.__cause__
            if isinstance(cause, RedisTimeoutError) and "connecting" not in str(cause).lower():
                raise UnknownOutcomeError(str(error)) from cause
            raise

    def close(self) -> None:
        """See `Backend.close`."""
        self._client.close()

    def _send(self, client: Any, calls: Sequence[_Call]) -> list[Any]:
        if self._client.cluster or len(calls) == 1:  # redis-py has no EVALSHA in the pipelines of a cluster
            return [self._client.script(script, keys, *args)(client) for script, keys, args in calls]
        from redis.exceptions import NoScriptError

        with client.pipeline(transaction=False) as pipe:
            for script, keys, args in calls:
                pipe.evalsha(script.sha, len(keys), *keys, *args)
            answers = pipe.execute(raise_on_error=False)
        for number, answer in enumerate(answers):
            if isinstance(answer, NoScriptError):
                script, keys, args = calls[number]
                answers[number] = self._client.script(script, keys, *args)(client)
            elif isinstance(answer, Exception):
                raise answer
        return list(answers)

    def _call(self, operation: Operation) -> _Call:
        tenant = operation.tenant
        places, workers = self._key(tenant, "places"), self._key(tenant, "workers")
        if isinstance(operation, Admit):
            demand = operation.demand
            args: list[Any] = [len(demand.costs), demand.place, demand.max_places, _LEASE_MS, _WAIT_MS]
            for limit, cost in demand.costs:
                args += [*BUCKETS[limit.window], limit.amount, cost]
            return lua_scripts.ADMIT, [places, *(self._key(tenant, limit.name) for limit, _ in demand.costs)], args
        if isinstance(operation, Settle):
            args = [len(operation.bookings), operation.place]
            for booking in operation.bookings:
                args += [*BUCKETS[booking.window], booking.bucket, booking.amount]
            return lua_scripts.SETTLE, [places, *(self._key(tenant, one.name) for one in operation.bookings)], args
        if isinstance(operation, Renew):
            return lua_scripts.RENEW, [places, workers], [_LEASE_MS, _WORKER_MS, operation.worker, *operation.places]
        if isinstance(operation, Reset):
            return lua_scripts.RESET, [self._key(tenant, name) for name in operation.names], []
        return lua_scripts.READ, [places, workers, *(self._key(tenant, name) for name in WINDOW_LIMITS)], []

    def _key(self, tenant: str, name: str) -> bytes:
        if tenant not in self._keys:
            self._keys[tenant] = RedisKeys(self._prefix, tenant)
        return self._keys[tenant].counter(name)


def _parse(operation: Operation, answer: Any) -> Any:
    """Returns the outcome of an operation. An answer of another form raises one of the errors of such answers."""
    if isinstance(operation, Admit):
        number, wait_ms, second, micros = map(int, answer)
        now = second + micros / 1e6
        if number == 0:
            return Verdict(time=now)
        name = PLACES if number == -1 else operation.demand.costs[number - 1][0].name
        return Verdict(name, wait_ms / 1000, now)
    if isinstance(operation, Renew):
        return int(answer)
    if isinstance(operation, (Settle, Reset)):
        return int(answer) >= 0
    second, micros, places, workers, *hashes = answer
    buckets = {
        name: {int(bucket): int(amount) for bucket, amount in _pairs(flat)}
        for name, flat in zip(WINDOW_LIMITS, hashes, strict=True)
    }
    expiries = [{key.decode(): float(expiry) / 1000 for key, expiry in _pairs(flat)} for flat in (places, workers)]
    now = int(second) + int(micros) / 1e6
    return CounterState(buckets, *expiries), now


def _pairs(flat: list[Any]) -> list[tuple[Any, Any]]:
    return [*zip(flat[::2], flat[1::2], strict=True)]
