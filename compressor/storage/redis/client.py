"""The connection to Redis: opened by its URL on first use, with timeouts and with errors that say what to do.

Every operation must have the same effect if it is run twice, because it is sent again after a broken connection. It is
not sent again after a timeout: a server that stalls would only stall once more.

Two parts of redis-py are deliberately not used. `register_script` sends an unknown script with SCRIPT LOAD, to every
primary of a cluster, so one primary that is down would fail writes to all others (tested), and a restricted user would
need one more permission; EVAL sends it only to the server that lacks it. `redis.retry.Retry` does not tell an operation
that it is being repeated, which an append has to know, and retries refused logins, which are ConnectionErrors.
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
_BACKOFF = 0.05  # seconds before the first retry; doubled before each further one
_LOGIN_ERRORS = "NOAUTH|WRONGPASS|NOPERM|permissions|unauthenticated"
#: What redis-py and our parsers raise if a server answers with something other than Redis would.
_MALFORMED_ANSWER = (ValueError, TypeError, LookupError, AttributeError, AssertionError)


class RedisClient:
    """A client of one Redis server, Sentinel service or Redis Cluster, for any number of threads.

    Args:
        url: The URL, in one of the forms that `RedisStore` lists.
        connect_timeout: The seconds to wait for a connection.
        timeout: The seconds to wait for the answer to a command.
        retries: How often a command is sent again after a broken connection.

    Attributes:
        cluster: Whether the URL is that of a Redis Cluster.
        location: The URL without user, password and options.

    Raises:
        StoreError: If the URL or a number cannot be used.
        MissingDependencyError: If redis-py is not installed.
    """

    def __init__(self, url: str, *, connect_timeout: float, timeout: float, retries: int) -> None:
        if importlib.util.find_spec("redis") is None:
            raise MissingDependencyError("redis", "redis")
        parts = urlsplit(url)
        if "@" in parts.path + parts.query + parts.fragment and (parts.netloc or parts.scheme != "unix"):
            raise StoreError(
                "the URL of a Redis store has an unescaped / ? # or @ in its user or password: percent-encode it"
            )
        self.cluster = parts.scheme.endswith("+cluster")
        host = parts.netloc.rpartition("@")[2]
        self.location = f"{parts.scheme}://{host}{parts.path}"
        if not url.startswith(SCHEMES) or "decode_responses" in parts.query:
            raise StoreError(
                f"{self.location!r} is not the URL of a Redis store: it must begin with one of {', '.join(SCHEMES)}"
                " and must not set decode_responses"
            )
        if min(connect_timeout, timeout) <= 0 or retries < 0:
            raise StoreError(
                "the timeouts of a Redis store must be positive numbers of seconds, and its retries 0 or more"
            )
        self._url, self._parts, self._retries = url, parts, retries
        self._options: dict[str, Any] = {
            "socket_connect_timeout": connect_timeout,
            "socket_timeout": timeout,
            "protocol": 2,
            "max_connections": 10_000,  # never the bottleneck: the server has a limit too
        }
        self._timeout = timeout
        self._client: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the URL, password included, and the settings. The copy connects anew."""
        return {**vars(self), "_client": None}

    def run(self, operation: Callable[[Any, bool], T]) -> T:
        """Runs an operation, and runs it again after a broken connection.

        Args:
            operation: Gets the redis-py client, and whether the operation may have been run before.

        Returns:
            What the operation returns.

        Raises:
            StoreUnavailableError: If the server cannot be reached, does not answer in time or refuses to serve.
            StoreFullError: If the server is full.
            StoreError: For any other error.
        """
        import redis  # takes a tenth of a second

        retried = (redis.ConnectionError, redis.exceptions.TryAgainError, redis.exceptions.ClusterDownError)
        final = (redis.AuthenticationError, redis.exceptions.AuthorizationError)
        handled = (redis.RedisError, redis.exceptions.RedisClusterException, OSError, *_MALFORMED_ANSWER)
        attempts = 0
        while True:
            try:
                if self._client is None:
                    self._client = self._open(redis)  # if two threads do this, the spare client has no connection yet
                return operation(self._client, attempts > 0)
            except handled as error:
                if not isinstance(error, retried) or isinstance(error, final) or attempts >= self._retries:
                    raise self._to_store_error(redis, error) from error
            time.sleep(_BACKOFF * 2**attempts)
            attempts += 1

    def script(self, script: LuaScript, keys: list[bytes], *args: bytes | str | int) -> Callable[[Any], Any]:
        """Returns a function that runs a script on a client; the script is sent only if the server lacks it."""

        def call(client: Any) -> Any:
            from redis.exceptions import NoScriptError

            try:
                return client.evalsha(script.sha, len(keys), *keys, *args)
            except NoScriptError:
                return client.eval(script.text, len(keys), *keys, *args)

        return call

    def close(self) -> None:
        """Closes all connections. The next operation opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self, redis: Any) -> Any:
        """Makes the redis-py client. Only that of a cluster connects here: it asks the nodes for their slots."""
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        parts, query = self._parts, dict(parse_qsl(self._parts.query))
        no_retry = Retry(NoBackoff(), 0)
        if "+" not in parts.scheme:
            try:
                client = redis.Redis.from_url(self._url, retry=no_retry, **self._options)
                pool = client.connection_pool
                pool.connection_class(**pool.connection_kwargs)  # does not connect, but rejects unknown options
            except (ValueError, TypeError) as error:
                raise StoreError(f"the URL of the Redis at {self.location} cannot be used: {error}") from None
            return client
        login = {"username": parts.username, "password": parts.password}
        login = {name: unquote(text) for name, text in login.items() if text}
        options: dict[str, Any] = {**self._options, **login}
        if parts.scheme.startswith("rediss+"):
            options |= {"ssl": True, **{name: text for name, text in query.items() if name.startswith("ssl_")}}
        if self.cluster:
            nodes = [redis.cluster.ClusterNode(host, port) for host, port in self._parse_hosts(PORT)]
            before_6 = int(redis.__version__.partition(".")[0]) < 6
            retry = {"cluster_error_retry_attempts": 0} if before_6 else {"retry": no_retry}
            return redis.RedisCluster(startup_nodes=nodes, **retry, **options)
        service, _, db = parts.path.strip("/").partition("/")
        if not service:
            raise StoreError(f"{self.location!r} names no service: use redis+sentinel://host:port,host:port/service")
        sentinel_options = {k: v for k, v in options.items() if k not in login}
        sentinel_options |= {n.removeprefix("sentinel_"): v for n, v in query.items() if n.startswith("sentinel_")}
        sentinel = redis.Sentinel(
            self._parse_hosts(SENTINEL_PORT), sentinel_kwargs={**sentinel_options, "retry": no_retry}
        )
        return sentinel.master_for(service, retry=no_retry, db=int(db or 0), **options)

    def _parse_hosts(self, default_port: int) -> list[tuple[str, int]]:
        hosts = []
        for each in self._parts.netloc.rpartition("@")[2].split(","):
            match = re.fullmatch(r"(?:\[([\da-fA-F:.]+)\]|([^\s:\[\]]+))(?::(\d+))?", each)
            if match is None:
                raise StoreError(f"{self.location!r} names no host: write the hosts as host:port,host:port")
            hosts.append((match[1] or match[2], int(match[3] or default_port)))
        return hosts

    def _to_store_error(self, redis: Any, error: Exception) -> StoreError:
        """Returns an error whose message says in one line what is wrong with the server and what to do."""
        text, where = str(error), f"the Redis at {self.location}"
        if isinstance(error, redis.TimeoutError):
            return StoreUnavailableError(
                f"{where} did not answer within {self._timeout:g} s ({text}); a write may still take effect"
            )
        if text.startswith(("OOM", "command not allowed when used memory")):
            return StoreFullError(f"{where} is full ({text}): raise maxmemory, or set a maxmemory-policy that evicts")
        if isinstance(error, redis.AuthenticationError) or re.search(_LOGIN_ERRORS, text):
            return StoreUnavailableError(
                f"{where} refuses the login ({text}): check the user and password in the URL of the store"
            )
        if isinstance(error, (*_MALFORMED_ANSWER, redis.InvalidResponse)):
            return StoreUnavailableError(
                f"{where} sent an answer that is not Redis's ({type(error).__name__}: {text}): check the address"
            )
        if isinstance(error, (redis.ConnectionError, redis.exceptions.RedisClusterException, OSError)):
            return StoreUnavailableError(
                f"{where} cannot be reached ({text}): check that it is running, and the address"
            )
        if "WRONGTYPE" in text:
            return StoreError(f"{where} holds a key of this store with another type ({text}): use another prefix")
        return StoreUnavailableError(f"{where} refuses to serve ({text})")
