"""Settings that are read again: what changes, what does not, and what the log says."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import pytest

pytest.importorskip("pydantic_settings")

from compressor.service.auth import new_key
from compressor.service.processes.settings_reloader import SettingsReloader
from compressor.service.settings_sources import LoadedSettings, SettingsSources
from compressor.storage.wrappers.encryption_keys import new_encryption_key
from support.waiting import wait_for


class Reloading:
    """A reloader of a config file and a key file, and what it has applied."""

    def __init__(self, folder: Path, **given: object) -> None:
        self.config, self.keys = folder / "settings.json", folder / "keys"
        self.applied: list[LoadedSettings] = []
        self.write(**given)
        self.sources = SettingsSources(str(self.config), {})
        self.start = self.sources.read()
        self.reloader = SettingsReloader(self.sources, self.start, self.applied.append)

    def write(self, **given: object) -> None:
        self.config.write_text(json.dumps(given))


def test_only_what_can_change_does(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = Reloading(tmp_path, budget=1000, port=1, cache=True)
    one.write(budget=2000, port=2, cache=False, tenants={"a": {"budget": 5000}}, log="debug")
    one.reloader.reload()
    (new,) = one.applied
    assert (new.settings.budget, new.settings.port, new.settings.cache) == (2000, 1, True)
    assert new.settings.for_tenant("a").budget == 5000 and new.settings.log == "debug"
    assert one.reloader.current is new
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warning.endswith(": port, cache")
    one.write()  # a setting that is left out has its default again
    one.reloader.reload()
    assert one.applied[1].settings.budget is None and one.applied[1].settings.port == 1


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"prot": 1}', '{"budget": "much"}', '{"port": 70000}', '{"keys": "/no/such"}', "\x00", "{" * 9999, ""],
)
def test_what_is_not_valid_changes_nothing(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    one = Reloading(tmp_path, budget=1000)
    one.config.write_text(text)
    one.reloader.reload()
    assert one.applied == [] and one.reloader.current is one.start
    (line,) = caplog.records
    assert line.levelname == "ERROR" and "\n" not in line.getMessage() and not line.exc_info
    assert not one.sources.have_changed()  # said once, not at each look


def test_a_broken_file_is_reported_once_whatever_other_file_changes(tmp_path: Path) -> None:
    _, entry = new_key("a")
    keys = tmp_path / "keys"
    keys.write_text(entry.line())
    one = Reloading(tmp_path, keys=str(keys))
    one.config.write_text("{")
    keys.write_text(entry.line() + "\n\n")
    one.reloader.reload()
    assert not one.sources.have_changed()
    one.write(keys=str(keys))
    assert one.sources.have_changed()


def test_no_keys_mean_no_access_and_keys_do_not_come_to_an_open_service(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, entry = new_key("a")
    keys = tmp_path / "keys"
    keys.write_text(entry.line())
    one = Reloading(tmp_path, keys=str(keys), host="0.0.0.0")
    keys.write_text("")
    one.reloader.reload()
    assert one.applied[0].settings.keys == () and "no API key is valid" in caplog.text
    one.write(host="0.0.0.0")  # the setting itself is gone
    one.reloader.reload()
    assert one.applied[1].settings.keys == ()
    keys.write_text(entry.line())
    one.write(keys=str(keys), host="0.0.0.0")
    one.reloader.reload()
    assert one.applied[2].settings.keys == (entry,)

    caplog.clear()
    open_one = Reloading(tmp_path)
    open_one.write(keys=str(keys))
    open_one.reloader.reload()
    assert open_one.applied[0].settings.keys == () and "restart can change these settings, which differ now: keys" in (
        caplog.text
    )


def test_a_change_is_seen_soon_and_a_request_too(tmp_path: Path) -> None:
    one = Reloading(tmp_path, budget=1000)
    one.reloader.start()
    one.write(budget=2000)
    wait_for(lambda: [done.settings.budget for done in one.applied] == [2000])
    one.reloader.request()
    wait_for(lambda: len(one.applied) == 2)
    one.reloader.stop()


def test_another_process_gets_the_same_settings(tmp_path: Path) -> None:
    key, entry = new_key("a")
    (tmp_path / "keys").write_text(entry.line())
    secret = new_encryption_key()
    env = {
        "COMPRESSOR_KEYS_FILE": str(tmp_path / "keys"),
        "COMPRESSOR_ENCRYPTION_KEYS": f"{secret};{new_encryption_key()}",
    }
    env |= {"COMPRESSOR_TENANTS": '{"a": {"budget": 100}}', "COMPRESSOR_POLICY": '{"keep": ["fraction", 0.4]}'}
    loaded = SettingsSources(None, env, {"port": 9}).read()
    other: LoadedSettings = pickle.loads(pickle.dumps(loaded))
    assert other.settings.encryption_keys is not None and loaded.settings.encryption_keys is not None
    assert other.settings.encryption_keys.ids == loaded.settings.encryption_keys.ids
    assert other.settings.printable() == loaded.settings.printable() and other.settings.keys == (entry,)
    assert secret not in repr(loaded) and secret not in repr(other) and key not in repr(other)
    (tmp_path / "encryption").write_text(secret)
    from_file = SettingsSources(None, {"COMPRESSOR_ENCRYPTION_KEYS_FILE": str(tmp_path / "encryption")}).read()
    again: LoadedSettings = pickle.loads(pickle.dumps(from_file))
    assert again.settings.encryption_keys is not None and len(again.settings.encryption_keys.ids) == 1
