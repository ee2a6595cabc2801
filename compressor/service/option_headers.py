"""Defines the request headers `x-compressor-...`, and reads those that say how a single request is treated.

docs/service.md shows `OPTION_HEADERS` as a table; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, get_args

from compressor.service.http_errors import HttpError
from compressor.service.modes import Mode

if TYPE_CHECKING:
    from compressor.service.tenant_settings import TenantSettings

PREFIX = "x-compressor-"
MAX_NAME_CHARS = 60
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class OptionHeader(NamedTuple):
    """A request header.

    Attributes:
        name: Its name after the prefix.
        meaning: What it does, for the documentation.
        values: Its values, for the documentation.
        is_override: Whether it overrides a setting of the tenant, so that `allow_overrides` can forbid it.
    """

    name: str
    meaning: str
    values: str
    is_override: bool = True


#: All headers that a request may have.
OPTION_HEADERS: tuple[OptionHeader, ...] = (
    OptionHeader("key", "the API key of this service", "a key", False),
    OptionHeader("session", "the id of a session, kept in the store", "1 to 200 printable characters", False),
    OptionHeader("bypass", "forward this request as it is", "`1`"),
    OptionHeader("mode", "what happens to this request", "`enforce`, `audit`, `off`"),
    OptionHeader("fail-open", "whether it goes out uncompressed if compression fails", "`true`, `false`"),
    OptionHeader("max-added-latency", "the most seconds that compression may add", "seconds above 0 (`2.5`)"),
    OptionHeader("budget", "the budget of this conversation", "tokens, a fraction (`50%`), money (`$0.02`)"),
    OptionHeader("trigger", "the size at which it is compacted", "a fraction (`85%`), tokens (`12000`), `cost`"),
    OptionHeader("target", "the size that a compaction aims at", "a fraction (`60%`), tokens (`8000`)"),
    OptionHeader("keep", "how much of the newest rounds stays unchanged", "a fraction of the target, tokens"),
    OptionHeader("preset", "compact as soon as that lowers the bill", "`faithful`, `balanced`, `frugal`"),
    OptionHeader("tools-budget", "the budget of the tool schemas", "tokens, a fraction of them (`25%`)"),
    OptionHeader("pinned-tools", "tools that are always listed unchanged", "names, separated by commas"),
    OptionHeader("examples-budget", "the budget of the worked examples", "tokens, a fraction of them (`25%`)"),
    OptionHeader("count", "who counts where tokens are counted", "`provider`: the request as it is", False),
)
#: The names of all of them.
NAMES = frozenset(header.name for header in OPTION_HEADERS)
#: The names of those that override a setting.
OVERRIDES = frozenset(header.name for header in OPTION_HEADERS if header.is_override)


@dataclass(frozen=True)
class RequestMode:
    """How one request is treated.

    Attributes:
        mode: What happens to it.
        fail_open: Whether it goes out uncompressed if compression fails.
        max_added_latency: The most seconds that compression may add; 0 means no limit of its own.
        is_chosen: Whether the client has chosen the mode, so that the request is no part of a rollout's comparison.
    """

    mode: Mode
    fail_open: bool
    max_added_latency: float
    is_chosen: bool = False


def read_mode(get_option: Callable[[str], str], config: TenantSettings) -> RequestMode:
    """Reads the headers `-mode`, `-bypass`, `-fail-open` and `-max-added-latency`.

    Args:
        get_option: Returns the value of a header by the end of its name, or "".
        config: The settings of the tenant.

    Raises:
        HttpError: 400 if a value is not valid.
    """
    mode, open, latency = get_option("mode").lower(), get_option("fail-open"), get_option("max-added-latency")
    if mode and mode not in get_args(Mode):
        raise _invalid(f"{PREFIX}mode must be one of {', '.join(get_args(Mode))}, not {mode!r:.80}")
    bypass = get_option("bypass")
    if bypass and _read_truth("bypass", bypass):
        mode = "off"
    chosen: Mode = next((known for known in get_args(Mode) if known == mode), config.mode)
    fail_open = _read_truth("fail-open", open) if open else config.fail_open
    seconds = _read_seconds(latency) if latency else config.max_added_latency
    return RequestMode(chosen, fail_open, seconds, is_chosen=bool(mode))


def allowed_options(
    get_option: Callable[[str], str], allow: bool | Iterable[str]
) -> tuple[Callable[[str], str], list[str]]:
    """Returns `get_option` without the headers that a tenant's clients may not send, and the names of those ignored.

    Args:
        get_option: Returns the value of a header by the end of its name, or "".
        allow: The tenant's setting `allow_overrides`.
    """
    allowed = OVERRIDES if allow is True else frozenset() if allow is False else frozenset(allow)
    locked = OVERRIDES - allowed
    ignored = sorted(name for name in locked if get_option(name)) if locked else []
    return (lambda name: "" if name in locked else get_option(name)), ignored


def find_unknown(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Returns the names of headers that begin with the prefix and do not exist."""
    prefix = PREFIX.encode()
    names = (name[len(prefix) :].decode("latin-1") for name, _ in headers if name.startswith(prefix))
    return list(dict.fromkeys(name[:MAX_NAME_CHARS] for name in names if name not in NAMES))


def check_overrides(value: bool | Iterable[str]) -> bool | tuple[str, ...]:
    """Checks a value of the setting `allow_overrides`, and returns it.

    Raises:
        ValueError: A name does not exist.
    """
    if isinstance(value, bool):
        return value
    names = tuple(str(name).removeprefix(PREFIX).replace("_", "-") for name in value)
    if unknown := [name for name in names if name not in OVERRIDES]:
        known = ", ".join(header.name for header in OPTION_HEADERS if header.is_override)
        raise ValueError(f"names headers that do not exist: {', '.join(unknown)}; there are {known}")
    return names


def _read_truth(name: str, text: str) -> bool:
    if text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    raise _invalid(f"{PREFIX}{name} must be true or false, not {text!r:.80}")


def _read_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 86_400:
        raise _invalid(f"{PREFIX}max-added-latency must be seconds above 0, such as 2.5, not {text!r:.80}")
    return seconds


def _invalid(message: str) -> HttpError:
    return HttpError(400, "invalid_option", message)
