"""Environment variables that are misspelt settings, unknown, or not meant for the service."""

from __future__ import annotations

import pytest

from compressor import CompressorError
from compressor.service.environment_names import check_names, unknown_names, without_links
from compressor.service.settings import Settings

NAMES = Settings.model_fields


def test_no_setting_and_no_source_is_refused() -> None:
    env = {f"COMPRESSOR_{name.upper()}": "1" for name in NAMES}
    env |= dict.fromkeys(("COMPRESSOR_KEYS_FILE", "COMPRESSOR_CONFIG", "COMPRESSOR_PUBLISH"), "1")
    check_names(env, NAMES)
    assert unknown_names(env, NAMES) == [] and without_links(env) == env


@pytest.mark.parametrize("name", sorted(name for name in NAMES if len(name) > 5))
def test_a_slip_of_the_pen_is_refused_with_the_right_name(name: str) -> None:
    for slip in (
        name[:-1],
        name[0] + name[2] + name[1] + name[3:],
        name[:2] + name[2] + name[2:],
        name.replace("_", ""),
    ):
        if slip in NAMES:
            continue
        with pytest.raises(CompressorError, match="did you mean COMPRESSOR_") as found:
            check_names({f"COMPRESSOR_{slip.upper()}": "hush"}, NAMES)
        assert f"COMPRESSOR_{name.upper()}?" in str(found.value) and "hush" not in str(found.value)


def test_what_is_empty_or_of_another_program_is_no_error() -> None:
    check_names({"COMPRESSOR_BUDGTE": "", "OTHER_BUDGTE": "1", "COMPRESSOR_FAVOURITE_COLOUR": "blue"}, NAMES)
    assert unknown_names({"COMPRESSOR_FAVOURITE_COLOUR": "blue"}, NAMES) == ["COMPRESSOR_FAVOURITE_COLOUR"]


def test_addresses_of_kubernetes_are_left_out_and_a_port_is_not() -> None:
    links = {"COMPRESSOR_PORT": "tcp://10.0.0.1:8787", "COMPRESSOR_X_SERVICE_PORT_HTTP": "80"}
    assert without_links({**links, "COMPRESSOR_HOST": "h"}) == {"COMPRESSOR_HOST": "h"}
    assert without_links({"COMPRESSOR_PORT": "80"}) == {"COMPRESSOR_PORT": "80"}
