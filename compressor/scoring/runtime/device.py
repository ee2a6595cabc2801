"""Selects the device that runs a model. torch is imported only if the answer depends on it."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
from dataclasses import dataclass
from typing import Any

from compressor.errors import DeviceError
from compressor.scoring.runtime.cpu_quota import read_cpu_quota

DEVICE_VARIABLE = "COMPRESSOR_DEVICE"


@dataclass(frozen=True, slots=True)
class Device:
    """A device.

    Attributes:
        name: The name as torch writes it: "cuda:0", "mps" or "cpu".
        reason: Why it was selected, for the user.
    """

    name: str
    reason: str

    @property
    def gpu(self) -> bool:
        """Whether this is a GPU."""
        return self.name != "cpu"


def select_device(wanted: str | None = None) -> Device:
    """Selects a device: CUDA before MPS before the CPU.

    Args:
        wanted: "auto", "cpu", "cuda", "cuda:N" or "mps"; None for the variable COMPRESSOR_DEVICE, or "auto".

    Raises:
        DeviceError: The named device does not exist.
    """
    origin = "as requested"
    if wanted is None and (wanted := os.environ.get(DEVICE_VARIABLE)):
        origin = f"{DEVICE_VARIABLE}={wanted}"
    kind, number = parse_device(wanted)
    if kind == "cpu":
        return Device("cpu", origin)
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
            raise DeviceError(wanted or "", f"the last device is cuda:{cuda - 1}")
        name = f"cuda:{number or 0}"
        return Device(name, f"{torch.cuda.get_device_name(name)}, {built}" + (f", {origin}" if kind == "cuda" else ""))
    if kind == "cuda":
        raise DeviceError(wanted or "", no_cuda)
    if torch.backends.mps.is_available():
        return Device("mps", f"Apple GPU, {built}" + (f", {origin}" if kind == "mps" else ""))
    if kind == "mps":
        raise DeviceError(wanted or "", f"{built} finds no Apple GPU")
    return Device("cpu", no_cuda)


def available_cores() -> int:
    """Returns how many CPU cores this process may use: its affinity, and the quota of its container, limit them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = read_cpu_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def dtype_for(device: Device) -> str:
    """Returns the name of the torch type to compute in.

    That is bfloat16 on GPUs that have it in hardware, float16 on other GPUs, and float32 on a CPU.
    """
    if not device.gpu:
        return "float32"
    if device.name == "mps":
        return "float16"
    torch = _torch()
    assert torch is not None  # torch has found the device
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
    """The number of CUDA (or ROCm) devices; if it is 0, also the reason."""
    if torch.cuda.is_available():
        return torch.cuda.device_count(), ""
    if torch.version.cuda is None and torch.version.hip is None:
        return 0, f"{built} was built without CUDA"
    return 0, f"{built} finds no CUDA device (there is no driver, or all devices are hidden)"
