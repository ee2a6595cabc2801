"""Shell transcripts: a command and what it printed stay together."""

from __future__ import annotations

import numpy as np
import pytest

from compressor.text.segmenters import segment_text
from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.content_type import detect_content_type
from support.segment_tools import units


@pytest.mark.parametrize("prompt", ["$ ", "me@box:~/src$ ", "[root@box ~]# ", "PS C:\\> ", "C:\\src>", ">>> "])
def test_a_command_and_its_output_stay_together(prompt: str) -> None:
    listing = "".join(f"file{i}.txt\n" for i in range(9))
    text = f"{prompt}node --version\nv20.11.1\n{prompt}ls\n{listing}{prompt}jq\njq: command not found\n"
    assert detect_content_type(text) == "transcript"
    found = segment_text(text)
    texts = units(found)
    assert texts[0] == f"{prompt}node --version\nv20.11.1\n"
    out = found.render(np.array(["file7" in t for t in texts]))
    assert f"{prompt}ls\n" in out and "node" not in out and "file3" not in out
    assert found.flags[-1] & UnitFlag.ERROR
    assert found.render(np.ones(len(texts), np.bool_)) == text


def test_one_prompt_is_no_transcript() -> None:
    assert detect_content_type("$ is a sign.\nIt stands for money.\n") != "transcript"
