"""The connection to Redis: opened by its URL on first use, with time limits, and with errors one can act on.

Knows no keys. Everything that is run through it must have the same effect twice as once: what was sent when the
connection broke is sent again. What was not answered in time is not: a server that stalls would only stall again.
"""

from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from compressor.errors import MissingDependencyError, StoreError
from compressor.storage.circuit_breaker import StoreFullError, StoreUnavailableError

if TYPE_CHECKING:
    from compressor.storage.redis.lua_scripts import LuaScript

T = TypeVar("T")
PORT, SENTINEL_PORT = 6379, 26379
SCHEMES = tuple(
    f"{scheme}://"
    for scheme in ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
)
_BACKOFF = 0.05  # seconds before the first retry; twice that before the second
_LOGIN = "NOAUTH|WRONGPASS|NOPERM|permissions|unauthenticated"
_NO_ANSWER = (ValueError, TypeError, LookupError, AttributeError, AssertionError)


class RedisClient:
    """One Redis, Sentinel service or Redis Cluster, for any number of threads.

    connect_timeout, timeout: seconds for connecting, and for the server's answer to a command. retries: times a command
    is sent again after a broken connection.
    """

    def __init__(self, url: str, *, connect_timeout: float, timeout: float, retries: int) -> None:
        if importlib.util.find_spec("redis") is None:
            raise MissingDependencyError("redis", "redis")
        parts = urlsplit(url)
        if "@" in parts.path + parts.query + parts.fragment and (parts.netloc or parts.scheme != "unix"):
            raise StoreError(
                "percent-encode the characters / ? # and @ of the user and password in a Redis store's URL"
            )
        self.cluster = parts.scheme.endswith("+cluster")
        host = parts.netloc.rpartition("@")[2]
        #: The URL without user, password and options.
        self.where = f"{parts.scheme}://{host}{parts.path}"
        if not url.startswith(SCHEMES) or "decode_responses" in parts.query:
            raise StoreError(f"{self.where!r} is no Redis store's URL: it begins with {', '.join(SCHEMES)}")
        if min(connect_timeout, timeout) <= 0 or retries < 0:
            raise StoreError(
                "a Redis store's timeouts are positive numbers of seconds, and its retries are not negative"
            )
        self._url, self._parts, self._retries = url, parts, retries
        self._options: dict[str, Any] = {
            "socket_connect_timeout": connect_timeout,
            "socket_timeout": timeout,
            "protocol": 2,
            "max_connections": 10_000,  # as many as there are threads; the server has a limit too
        }
        self._timeout = timeout
        self._client: Any = None

    def run(self, ask: Callable[[Any, bool], T]) -> T:
        """What `ask(client, again)` gives; `again`: it may have been sent before.

        `StoreUnavailableError` where the server cannot be reached, does not answer in time or refuses to serve, `StoreFullError` where it
        is full, `StoreError` for other errors."""
        import redis  # takes a tenth of a second

        again = (redis.ConnectionError, redis.exceptions.TryAgainError, redis.exceptions.ClusterDownError)
        never = (redis.AuthenticationError, redis.exceptions.AuthorizationError)
        known = (redis.RedisError, redis.exceptions.RedisClusterException, OSError, *_NO_ANSWER)
        tried = 0
        while True:
            try:
                if self._client is None:
                    self._client = self._open(redis)  # two threads may; the one that is not kept holds nothing open
                return ask(self._client, tried > 0)
            except known as error:
                if not isinstance(error, again) or isinstance(error, never) or tried >= self._retries:
                    raise self._explained(redis, error) from error
            time.sleep(_BACKOFF * 2**tried)
            tried += 1

    def script(self, script: LuaScript, keys: list[bytes], *args: bytes | str | int) -> Callable[[Any], Any]:
        """What runs a script on a client; its text is sent only where the server does not know it."""

        def call(client: Any) -> Any:
            from redis.exceptions import NoScriptError

            try:
                return client.evalsha(script.sha, len(keys), *keys, *args)
            except NoScriptError:
                return client.eval(script.text, len(keys), *keys, *args)

        return call

    def close(self) -> None:
        """Closes all connections. The next use opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self, redis: Any) -> Any:
        """Connects to nothing yet, but for a cluster, whose nodes have to be asked who has what."""
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        parts, query = self._parts, dict(parse_qsl(self._parts.query))
        once = Retry(NoBackoff(), 0)
        if "+" not in parts.scheme:
            try:
                client = redis.Redis.from_url(self._url, retry=once, **self._options)
                pool = client.connection_pool
                pool.connection_class(**pool.connection_kwargs)  # connects to nothing, and minds what it does not know
            except (ValueError, TypeError) as error:
                raise StoreError(f"the URL of the Redis at {self.where} cannot be used: {error}") from None
            return client
        login = {"username": parts.username, "password": parts.password}
        login = {name: unquote(text) for name, text in login.items() if text}
        options: dict[str, Any] = {**self._options, **login}
        if parts.scheme.startswith("rediss+"):
            options |= {"ssl": True, **{name: text for name, text in query.items() if name.startswith("ssl_")}}
        if self.cluster:
            nodes = [redis.cluster.ClusterNode(host, port) for host, port in self._hosts(PORT)]
            old = int(redis.__version__.partition(".")[0]) < 6
            retry = {"cluster_error_retry_attempts": 0} if old else {"retry": once}
            return redis.RedisCluster(startup_nodes=nodes, **retry, **options)
        service, _, db = parts.path.strip("/").partition("/")
        if not service:
            raise StoreError(f"{self.where!r} names no service: redis+sentinel://host:port,host:port/service")
        guards = {k: v for k, v in options.items() if k not in login}
        guards |= {n.removeprefix("sentinel_"): v for n, v in query.items() if n.startswith("sentinel_")}
        sentinel = redis.Sentinel(self._hosts(SENTINEL_PORT), sentinel_kwargs={**guards, "retry": once})
        return sentinel.master_for(service, retry=once, db=int(db or 0), **options)

    def _hosts(self, port: int) -> list[tuple[str, int]]:
        hosts = []
        for each in self._parts.netloc.rpartition("@")[2].split(","):
            match = re.fullmatch(r"(?:\[([\da-fA-F:.]+)\]|([^\s:\[\]]+))(?::(\d+))?", each)
            if match is None:
                raise StoreError(f"{self.where!r} names no host: host:port,host:port")
            hosts.append((match[1] or match[2], int(match[3] or port)))
        return hosts

    def _explained(self, redis: Any, error: Exception) -> StoreError:
        """One line: what is wrong with the server, and what to do."""
        text, where = str(error), f"the Redis at {self.where}"
        if isinstance(error, redis.TimeoutError):
            return StoreUnavailableError(
                f"{where} did not answer within {self._timeout:g} s ({text}); if this was a write, it may still come"
            )
        if text.startswith(("OOM", "command not allowed when used memory")):
            return StoreFullError(f"{where} is full ({text}): raise its maxmemory, or let it evict (maxmemory-policy)")
        if isinstance(error, redis.AuthenticationError) or re.search(_LOGIN, text):
            return StoreUnavailableError(
                f"{where} refuses the login ({text}): check user and password in the store's URL"
            )
        if isinstance(error, (*_NO_ANSWER, redis.InvalidResponse)):
            return StoreUnavailableError(
                f"{where} answers what no Redis does ({type(error).__name__}: {text}): check the address"
            )
        if isinstance(error, (redis.ConnectionError, redis.exceptions.RedisClusterException, OSError)):
            return StoreUnavailableError(f"{where} cannot be reached ({text}): check that it runs, and the address")
        if "WRONGTYPE" in text:
            return StoreError(f"{where} holds something else under a key of ours ({text}): use another prefix")
        return StoreUnavailableError(f"{where} refuses to serve ({text})")
