"""The CPU quota of control groups, versions 1 and 2, and how many cores that leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compressor.scoring.runtime import device
from compressor.scoring.runtime.cpu_quota import read_cpu_quota


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "rubbish"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100 0"}, None),
        ({"proc/self/cgroup": "rubbish", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, None),
        (
            {
                "proc/self/cgroup": "0::/system.slice/one.service\n",
                "sys/fs/cgroup/system.slice/one.service/cpu.max": "max 100000\n",
                "sys/fs/cgroup/system.slice/cpu.max": "300000 100000\n",
            },
            3.0,
        ),
        # The path of a group outside the container, which does not exist inside.
        ({"proc/self/cgroup": "0::/kubepods/pod1\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2.0),
        (
            {
                "proc/self/cgroup": "3:memory:/a\n2:cpu,cpuacct:/a\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
    ],
)
def test_the_smallest_quota_counts(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert read_cpu_quota(write(tmp_path, files)) == quota


@pytest.mark.parametrize(("quota", "cores"), [(None, 4), (0.2, 1), (1.5, 2), (2.0, 2), (64.0, 4)])
def test_cores_are_limited_by_the_quota(monkeypatch: pytest.MonkeyPatch, quota: float | None, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(device, "read_cpu_quota", lambda: quota)
    assert device.available_cores() == cores
