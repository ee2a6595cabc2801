"""Reads how many CPUs the control group of this process may use, as containers and systemd limit them on Linux."""

from __future__ import annotations

from pathlib import Path


def read_cpu_quota(root: Path = Path("/")) -> float | None:
    """Returns the smallest quota of the process's control group and those around it, in CPUs; None without a limit.

    Args:
        root: The folder that holds `proc` and `sys`.
    """
    quotas = []
    for controllers, path in _read_groups(root / "proc/self/cgroup"):
        is_unified = not controllers
        if not is_unified and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("" if is_unified else "cpu")
        own = top / path.strip("/")
        # In a container the path may be one outside, which does not exist here; the top is its own group then.
        for folder in (own, *(parent for parent in own.parents if parent.is_relative_to(top))):
            quota = _read_unified(folder) if is_unified else _read_legacy(folder)
            if quota is not None:
                quotas.append(quota)
    return min(quotas, default=None)


def _read_groups(file: Path) -> list[tuple[str, str]]:
    """Returns the controllers and the path of each group; no controllers stand for version 2."""
    lines = [line.split(":", 2) for line in _read(file).splitlines()]
    return [(line[1], line[2]) for line in lines if len(line) == 3]


def _read_unified(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    return _divide(quota, period)


def _read_legacy(folder: Path) -> float | None:
    return _divide(_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip())


def _divide(quota: str, period: str) -> float | None:
    """Returns a quota in CPUs, or None for "max", -1, or what cannot be read."""
    if not (quota.isascii() and quota.isdigit() and period.isascii() and period.isdigit()):
        return None
    return int(quota) / int(period) if int(quota) and int(period) else None


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError):
        return ""
