"""Says in one line what went wrong with a wrapped server."""

from __future__ import annotations

from mcp import MCPError
from mcp_types import CONNECTION_CLOSED
from pydantic import ValidationError

from compressor.errors import CompressorError
from compressor.mcp_proxy.server_config import WrappedServerConfig

MAX_ERROR_CHARS = 400


class WrappedServerError(CompressorError):
    """A wrapped server could not be started, died, did not answer in time or sent something invalid."""


class WrappedServerDiedError(WrappedServerError):
    """A wrapped server ended during a request."""


def explain_failure(error: BaseException, config: WrappedServerConfig, start_timeout: float) -> str:
    """Returns why a server is not available, without its address, which may hold a token."""
    error = first_leaf(error)
    if isinstance(error, TimeoutError):
        text = f"it did not start within {start_timeout:g} seconds"
    elif isinstance(error, OSError) and error.strerror:
        missing = "no such file or command" if isinstance(error, FileNotFoundError) else error.strerror
        text = f"{error.filename or config.command}: {missing}"
    elif isinstance(error, ValidationError):
        text = f"it sent an invalid message: {first_problem(error)}"
    elif isinstance(error, MCPError) and error.code == CONNECTION_CLOSED:
        text = "it ended before it answered"
    else:
        text = str(error) or type(error).__name__
    if config.url:
        text = text.replace(config.url, "its url")
    return " ".join(text.split())[:MAX_ERROR_CHARS]


def first_leaf(error: BaseException) -> BaseException:
    """Returns the exception that a group of exceptions is about."""
    while inner := getattr(error, "exceptions", None):
        error = inner[0]
    return error


def first_problem(error: ValidationError) -> str:
    """Returns the first problem with a message: where it is, and what is wrong there."""
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
