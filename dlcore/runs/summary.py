"""Results of several runs in a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def spread(values: Mapping[str, Sequence[float]], form: str = ".4f") -> str:
    """Mean and standard deviation of each metric over the seeds, in words; of numbers that are
    none, nan.
    """
    arrays = {name: np.asarray(each, np.float64) for name, each in values.items()}
    with np.errstate(invalid="ignore"):
        spreads = {
            name: each.std(ddof=1) if len(each) > 1 else 0.0 for name, each in arrays.items()
        }
        return "  ".join(
            f"{name} {each.mean():{form}} ± {spreads[name]:.2g}" for name, each in arrays.items()
        )


def summary(results: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, str]:
    """{split: the metrics that all runs have, over the runs, in words}."""
    first = results[0] if results else {}
    shared = {
        split: [name for name in metrics if all(name in each.get(split, {}) for each in results)]
        for split, metrics in first.items()
    }
    return {
        split: spread({name: [each[split][name] for each in results] for name in names})
        for split, names in shared.items()
        if names
    }
