"""Draws argument survival against the ratio, with one panel per session set."""

from __future__ import annotations

from typing import Any

from benchmarks.report import RESULTS, Report

FILE = "survival.svg"
COLOURS = {"ours": "#c2410c", "masking": "#64748b", "head+tail": "#94a3b8", "BM25 lines": "#2563eb"}
OTHER = "#0f766e"


def survival(report: Report) -> None:
    """Writes `results/survival.svg`; equal numbers give the same file."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    rows: list[dict[str, Any]] = report.rows
    sets = list(dict.fromkeys(row["set"] for row in rows))
    with plt.rc_context({"svg.hashsalt": "survival", "font.size": 9, "svg.fonttype": "path"}):
        figure, panels = plt.subplots(
            1, len(sets), figsize=(3.1 * len(sets), 3.2), sharey=True, squeeze=False, layout="constrained"
        )
        for axes, name in zip(panels[0], sets, strict=True):
            for method in dict.fromkeys(row["method"] for row in rows):
                points = [row for row in rows if row["set"] == name and row["method"] == method]
                axes.plot(
                    [p["ratio"] for p in points],
                    [p["kept"] / max(1, p["asked"]) for p in points],
                    marker="o",
                    markersize=4,
                    linewidth=2.4 if method == "ours" else 1.2,
                    color=COLOURS.get(method, OTHER),
                    label=method,
                )
            axes.set_title(name)
            axes.set_xlabel("tool output cut by")
            axes.set_xscale("log", base=2)
            axes.set_xticks([2, 4, 8], ["2×", "4×", "8×"])
            axes.set_ylim(0, 1.02)
            axes.grid(alpha=0.3)
        panels[0][0].set_ylabel("strings the agent needed, kept")
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.savefig(RESULTS / FILE, metadata={"Date": None})
        plt.close(figure)
