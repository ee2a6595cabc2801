"""Which device is chosen, and what is said about it, on made-up devices: the real ones are for the benchmarks."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from compressor.errors import DeviceError
from compressor.scoring.runtime import device
from compressor.scoring.runtime.device import Device, dtype_for, select_device


def torch_with(
    cards: int = 0, mps: bool = False, built: str | None = None, major: int = 9, hip: str | None = None
) -> Any:
    """As much of torch as is asked. built: the CUDA version that it was built for."""
    return SimpleNamespace(
        __version__="2.13.0",
        version=SimpleNamespace(cuda=built or ("13.0" if cards else None), hip=hip),
        cuda=SimpleNamespace(
            is_available=lambda: cards > 0,
            device_count=lambda: cards,
            get_device_name=lambda name: f"Card of {name}",
            get_device_properties=lambda name: SimpleNamespace(major=major),
        ),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
    )


@pytest.fixture(autouse=True)
def no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPRESSOR_DEVICE", raising=False)


def given(monkeypatch: pytest.MonkeyPatch, torch: Any) -> None:
    monkeypatch.setattr(device, "_torch", lambda: torch)


@pytest.mark.parametrize(
    ("torch", "wanted", "name", "why"),
    [
        (torch_with(cards=2), None, "cuda:0", "Card of cuda:0, torch 2.13.0"),
        (torch_with(cards=2), "auto", "cuda:0", "Card of cuda:0"),
        (torch_with(cards=2), "cuda", "cuda:0", "as requested"),
        (torch_with(cards=2), " CUDA:1 ", "cuda:1", "Card of cuda:1"),
        (torch_with(cards=1), "cpu", "cpu", "as requested"),
        (torch_with(cards=1, mps=True), "mps", "mps", "Apple GPU"),
        (torch_with(cards=1, mps=True), None, "cuda:0", "Card"),
        (torch_with(mps=True), None, "mps", "Apple GPU, torch 2.13.0"),
        (torch_with(), None, "cpu", "torch 2.13.0 was built without CUDA"),
        (torch_with(built="13.0"), None, "cpu", "torch 2.13.0 finds no CUDA device"),
        (None, None, "cpu", "torch is not installed"),
        (None, "cpu", "cpu", "as requested"),
    ],
)
def test_the_best_there_is(
    monkeypatch: pytest.MonkeyPatch, torch: Any, wanted: str | None, name: str, why: str
) -> None:
    given(monkeypatch, torch)
    found = select_device(wanted)
    assert found.name == name and why in found.reason
    assert found.gpu == (name != "cpu")


@pytest.mark.parametrize(
    ("torch", "wanted", "why"),
    [
        (torch_with(cards=2), "cuda:2", "the last device is cuda:1"),
        (torch_with(cards=2), "mps", "no Apple GPU"),
        (torch_with(), "cuda", "built without CUDA"),
        (torch_with(built="13.0"), "cuda:0", "finds no CUDA device"),
        (torch_with(mps=True), "cuda", "built without CUDA"),
        (None, "cuda", "torch is not installed"),
        (None, "mps", "torch is not installed"),
        (torch_with(cards=1), "gpu", "unknown device"),
        (torch_with(cards=1), "cuda:x", "unknown device"),
        (torch_with(cards=1), "cuda:-1", "unknown device"),
        (torch_with(cards=1), "cpu:0", "unknown device"),
    ],
)
def test_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch, torch: Any, wanted: str, why: str) -> None:
    given(monkeypatch, torch)
    with pytest.raises(DeviceError, match=why) as caught:
        select_device(wanted)
    assert caught.value.device == wanted


def test_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, torch_with(cards=1))
    monkeypatch.setenv("COMPRESSOR_DEVICE", "cpu")
    assert select_device() == Device("cpu", "COMPRESSOR_DEVICE=cpu")
    assert select_device("cuda").name == "cuda:0"
    assert select_device("auto").name == "cuda:0"
    monkeypatch.setenv("COMPRESSOR_DEVICE", "")
    assert select_device().name == "cuda:0"
    monkeypatch.setenv("COMPRESSOR_DEVICE", "mps")
    with pytest.raises(DeviceError, match="Apple"):
        select_device()


@pytest.mark.parametrize(
    ("torch", "name", "dtype"),
    [
        (torch_with(), "cpu", "float32"),
        (torch_with(mps=True), "mps", "float16"),
        (torch_with(cards=1, major=9), "cuda:0", "bfloat16"),
        (torch_with(cards=1, major=7), "cuda:0", "float16"),
        (torch_with(cards=1, major=0, hip="6.4"), "cuda:0", "bfloat16"),
    ],
)
def test_what_it_computes_in(monkeypatch: pytest.MonkeyPatch, torch: Any, name: str, dtype: str) -> None:
    given(monkeypatch, torch)
    assert dtype_for(Device(name, "")) == dtype


@pytest.mark.moderate
def test_the_real_one() -> None:
    """Whatever it is here, it is there when asked for by its name."""
    found = select_device()
    assert select_device(found.name).name == found.name


@pytest.mark.moderate
def test_asking_for_the_cpu_does_not_import_torch() -> None:
    code = (
        "import sys; from compressor.scoring.runtime.device import select_device; "
        "select_device('cpu'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
