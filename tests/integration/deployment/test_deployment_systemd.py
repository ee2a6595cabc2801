"""The systemd unit: `systemd-analyze verify` where there is one, and what can be said without."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict

import pytest

from compressor.service.settings import Settings
from support.paths import ROOT

UNIT = ROOT / "deploy" / "systemd" / "agentic-compressor.service"


def options() -> dict[str, list[str]]:
    found = defaultdict(list)
    for line in UNIT.read_text().splitlines():
        if match := re.fullmatch(r"([A-Za-z]+)=(.*)", line):
            found[match[1]].append(match[2])
    return found


def test_systemd_takes_the_unit() -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd here")
    done = subprocess.run([analyze, "verify", "--man=no", str(UNIT)], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert not said


def test_it_reloads_and_has_time_to_end() -> None:
    given, defaults = options(), Settings()
    assert given["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert int(given["TimeoutStopSec"][0]) > defaults.shutdown_delay + defaults.shutdown_timeout + 10
    assert given["KillMode"] == ["mixed"]  # the workers end by the supervisor's word


def test_its_settings_exist() -> None:
    known = {f"COMPRESSOR_{name.upper()}" for name in Settings.model_fields}
    known |= {"COMPRESSOR_KEYS_FILE", "COMPRESSOR_CACHE_DIR"}
    assert {pair.partition("=")[0] for pair in options()["Environment"]} <= known


def test_the_docs_show_this_unit() -> None:
    shown = (ROOT / "docs" / "deployment.md").read_text()
    assert "deploy/systemd/agentic-compressor.service" in shown
