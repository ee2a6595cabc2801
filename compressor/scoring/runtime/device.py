"""Which device runs a model, and why. Loads no model; imports torch only where the answer depends on it."""

from __future__ import annotations

import importlib
import importlib.util
import os
from dataclasses import dataclass
from typing import Any

from compressor.errors import DeviceError

VARIABLE = "COMPRESSOR_DEVICE"


@dataclass(frozen=True, slots=True)
class Device:
    """`name` as torch writes it: "cuda:0", "mps" or "cpu"; `why` this one, in a few words for the user."""

    name: str
    reason: str

    @property
    def gpu(self) -> bool:
        return self.name != "cpu"


def select_device(wanted: str | None = None) -> Device:
    """The device to use: CUDA before MPS before CPU. `wanted` is "auto", "cpu", "cuda", "cuda:N" or "mps"; None: what
    the variable COMPRESSOR_DEVICE says, else "auto". DeviceError if the one asked for is not there."""
    asked = "asked for"
    if wanted is None and (wanted := os.environ.get(VARIABLE)):
        asked = f"{VARIABLE}={wanted}"
    kind, number = parse_device(wanted)
    if kind == "cpu":
        return Device("cpu", asked)
    torch = _torch()
    if torch is None:
        missing = "torch is not installed"
        if kind == "auto":
            return Device("cpu", missing)
        raise DeviceError(wanted or "", missing)
    built = f"torch {torch.__version__}"
    cuda, no_cuda = _cuda(torch, built)
    if cuda and kind in ("auto", "cuda"):
        if int(number or 0) >= cuda:
            raise DeviceError(wanted or "", f"the highest is cuda:{cuda - 1}")
        name = f"cuda:{number or 0}"
        return Device(name, f"{torch.cuda.get_device_name(name)}, {built}" + (f", {asked}" if kind == "cuda" else ""))
    if kind == "cuda":
        raise DeviceError(wanted or "", no_cuda)
    if torch.backends.mps.is_available():
        return Device("mps", f"Apple GPU, {built}" + (f", {asked}" if kind == "mps" else ""))
    if kind == "mps":
        raise DeviceError(wanted or "", f"{built} finds no Apple GPU")
    return Device("cpu", no_cuda)


def dtype_for(device: Device) -> str:
    """The name of the torch type to compute in: bfloat16 on GPUs that have it in hardware, float16 on other GPUs,
    float32 on CPU (what is faster there is for each model's benchmark to say)."""
    if not device.gpu:
        return "float32"
    if device.name == "mps":
        return "float16"
    torch = _torch()
    assert torch is not None  # the device was found by it
    hardware = torch.version.hip or torch.cuda.get_device_properties(device.name).major >= 8  # Ampere was the first
    return "bfloat16" if hardware else "float16"


def parse_device(wanted: str | None) -> tuple[str, str]:
    """Returns the kind and the number of a device name. Does not look whether the device is there.

    Raises:
        DeviceError: The name is not "auto", "cpu", "cuda", "cuda:N" or "mps".
    """
    if wanted is not None and not isinstance(wanted, str):
        raise DeviceError(str(wanted), 'the name of a device is a str, such as "cpu" or "cuda:1"')
    kind, _, number = (wanted or "auto").strip().lower().partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdecimal())):
        raise DeviceError(wanted or "", "unknown device: use auto, cpu, cuda, cuda:N or mps")
    return kind, number


def _torch() -> Any:
    return importlib.import_module("torch") if importlib.util.find_spec("torch") else None


def _cuda(torch: Any, built: str) -> tuple[int, str]:
    """How many CUDA (or ROCm) devices there are; and if none, why."""
    if torch.cuda.is_available():
        return torch.cuda.device_count(), ""
    if torch.version.cuda is None and torch.version.hip is None:
        return 0, f"{built} was built without CUDA"
    return 0, f"{built} finds no CUDA device (no driver, or all are hidden)"
