"""The names of environment variables that begin with COMPRESSOR_: finds those that are misspelt.

A variable that resembles a setting is refused, because a budget or a key file that is silently ignored is found out
late. One that resembles none may belong to something else, so it is only reported.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from compressor.errors import CompressorError

PREFIX = "COMPRESSOR_"
#: Variables that are no settings of the service but are read by it: where settings come from, and where files are.
SOURCES = ("CONFIG", "KEYS_FILE", "ENCRYPTION_KEYS_FILE", "REDIS_PASSWORD_FILE", "CACHE_DIR", "DEVICE", "COMPILE")
#: Variables of docker-compose.yml, the MCP proxy, the tests and the benchmarks.
_OTHERS = (
    *("PUBLISH", "REPLICA_PUBLISH", "GPU_PUBLISH", "MEMORY", "GPU_MEMORY", "CPUS", "GPU_CPUS"),
    *("MCP_WRAP_DEPTH", "REQUIRE_MODELS", "TEST_GGUF", "BENCH_DATA", "BENCH_GGUF", "LLMLINGUA_PYTHON"),
)
_MIN_RESEMBLANCE = 0.8  # of difflib: two letters swapped in a short word, or one missing
# Kubernetes gives every pod the address of every service in its namespace: COMPRESSOR_PORT=tcp://10.0.0.1:8787 for a
# service named "compressor", COMPRESSOR_REDIS_SERVICE_HOST for "compressor-redis".
_LINK_NAME = re.compile(r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


def check_names(env: Mapping[str, str], settings: Iterable[str]) -> None:
    """Checks that no variable is a misspelt setting.

    Args:
        env: The environment.
        settings: The names of the settings.

    Raises:
        CompressorError: A variable resembles a setting.
    """
    known = {name.upper() for name in settings} | {*SOURCES}
    wrong = []
    for name in _unknown(env, known):
        if meant := difflib.get_close_matches(name.upper(), known, 1, _MIN_RESEMBLANCE):
            wrong.append(f"{PREFIX}{name} is not a setting that exists: did you mean {PREFIX}{meant[0]}?")
    if wrong:
        raise CompressorError("; ".join(wrong))


def unknown_names(env: Mapping[str, str], settings: Iterable[str]) -> list[str]:
    """Returns the variables that begin with COMPRESSOR_ and are unknown to the project."""
    return [PREFIX + name for name in _unknown(env, {name.upper() for name in settings} | {*SOURCES})]


def without_links(env: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment without the addresses that Kubernetes adds for a service named "compressor"."""
    return {name: value for name, value in env.items() if not _is_link(name.removeprefix(PREFIX).upper(), value)}


def _unknown(env: Mapping[str, str], known: set[str]) -> list[str]:
    given = {name.removeprefix(PREFIX): value for name, value in env.items() if name.startswith(PREFIX) and value}
    return [
        name
        for name, value in sorted(given.items())
        if name.upper() not in known and name.upper() not in _OTHERS and not _is_link(name.upper(), value)
    ]


def _is_link(name: str, value: str) -> bool:
    is_port = name == "PORT" or name.endswith("_PORT")
    return bool(_LINK_NAME.fullmatch(name) or (is_port and _LINK_VALUE.fullmatch(value)))
