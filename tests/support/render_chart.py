"""Renders one template of a chart with the values in a JSON file: `python render_chart.py TEMPLATE VALUES`.

It runs in the environment of `make clients`, in its own process, because the renderer ends it at an error.
"""

import json
import sys
from pathlib import Path

import go_template  # type: ignore[import-not-found]

sys.stdout.buffer.write(go_template.render(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())))
