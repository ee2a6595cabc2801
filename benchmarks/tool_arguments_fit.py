"""Fits `WEIGHTS` of `compressor.pipeline.tools.argument_use` on the leaderboard's reference calls.

Usage: `python -m benchmarks.tool_arguments_fit`. It prints, for each suite, how well the weights fitted on all others
order its optional parameters, and then the weights fitted on all.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.data import folder
from benchmarks.tool_cases import SUITES, reference_calls
from compressor.pipeline.tools.argument_use import WEIGHTS, OptionalParameter
from compressor.scoring.token_index import terms

Floats = npt.NDArray[np.float64]
PENALTY = 2.0  # of a squared weight
STEPS = 30  # of Newton's method
MIN_PARAMETERS = 20  # of a suite that is reported
THRESHOLDS = (0.06, 0.12, 0.22, 0.35)


def read(root: Path) -> tuple[Floats, Floats, Floats, npt.NDArray[np.str_]]:
    """Returns for each optional parameter of each call: its facts, whether it was given, its weight, its suite."""
    rows, used, keys, suites = [], [], [], []
    for suite, request, name, schema, arguments in reference_calls(root):
        properties = schema.get("properties", {})
        required = set(schema.get("required", []))
        optional = [key for key in properties if key not in required]
        found = set(terms(request))
        for place, key in enumerate(optional):
            parameter = OptionalParameter(key, properties[key], len(optional), place, not required)
            facts = parameter.own_facts | parameter.facts(found, any(c.isdigit() for c in request))
            rows.append([facts[fact] for fact in WEIGHTS])
            used.append(key in arguments)
            keys.append((name, key))
            suites.append(suite)
    counts = Counter(keys)
    weights = [1 / np.sqrt(counts[key]) for key in keys]
    return np.array(rows, float), np.array(used, float), np.array(weights), np.array(suites)


def fit(facts: Floats, used: Floats, weights: Floats) -> Floats:
    """Fits a logistic regression by Newton's method."""
    out = np.zeros(facts.shape[1])
    ridge = PENALTY * np.ones_like(out)
    ridge[0] = 0.0  # the constant
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-facts @ out))
        gradient = facts.T @ (weights * (chance - used)) + ridge * out
        curvature = (facts * (weights * chance * (1 - chance))[:, None]).T @ facts + np.diag(ridge + 1e-9)
        out -= np.linalg.solve(curvature, gradient)
    return out


def area(chance: Floats, used: Floats) -> float:
    """Returns the area under the ROC curve: how often a parameter that is used is ahead of one that is not."""
    ranks = np.empty(len(chance))
    ranks[np.argsort(chance, kind="stable")] = np.arange(1, len(chance) + 1)
    positive = used.sum()
    return float((ranks[used == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(used) - positive)))


def main() -> None:
    """Prints the check on each suite and the weights."""
    root = folder()
    assert root is not None, "there are no benchmark data"
    facts, used, weights, suites = read(root)
    print(f"{len(used):,} optional parameters, {used.mean():.2f} given")
    for suite in SUITES:
        held_out = suites == suite
        if held_out.sum() < MIN_PARAMETERS or not 0 < used[held_out].mean() < 1:
            continue
        chance = 1 / (1 + np.exp(-facts[held_out] @ fit(facts[~held_out], used[~held_out], weights[~held_out])))
        shares = [f"{(chance >= t)[used[held_out] == 1].mean():.2f}/{(chance >= t).mean():.2f}" for t in THRESHOLDS]
        print(f"{suite}: {held_out.sum()}, area {area(chance, used[held_out]):.2f}, given/all above {shares}")
    for name, weight in zip(WEIGHTS, fit(facts, used, weights), strict=True):
        print(f'    "{name}": {weight:.2f},')


if __name__ == "__main__":
    main()
