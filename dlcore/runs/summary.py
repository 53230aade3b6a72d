"""Results of several runs in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def spread(values: Mapping[str, Sequence[float]], form: str = ".4f") -> str:
    """Formats mean and sample standard deviation of each metric over several runs.

    Args:
        values: {metric: its value in each run}.
        form: format of the mean; the deviation has 2 significant digits.

    Returns:
        "accuracy 0.9812 ± 0.0012  loss ..."; the deviation of a single run is 0.
    """
    arrays = {name: np.asarray(each, np.float64) for name, each in values.items()}
    with np.errstate(invalid="ignore"):
        spreads = {
            name: each.std(ddof=1) if len(each) > 1 else 0.0 for name, each in arrays.items()
        }
        return "  ".join(
            f"{name} {each.mean():{form}} ± {spreads[name]:.2g}" for name, each in arrays.items()
        )


def seed_means(names: Sequence[str], sums: np.ndarray) -> dict[str, list[float]]:
    """Computes the means of training metrics of each run; gradient norms are left out.

    Args:
        names: the metrics.
        sums: float64 [runs, metrics, 2], totals and weights of these metrics.

    Returns:
        {metric: its mean in each run}, without metrics whose weight is 0 in any run, as those of an
        objective whose update was skipped.
    """
    means = {}
    for name, each in zip(names, sums.swapaxes(0, 1), strict=True):
        if (each[:, 1] > 0).all() and not name.endswith("grad_norm"):
            means[name] = (each[:, 0] / each[:, 1]).tolist()
    return means


def summary(results: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, str]:
    """Formats, in one line for each split, the metrics that all runs have.

    Args:
        results: {split: {metric: value}} of each run.

    Returns:
        {split: the line that `spread` returns}, without splits that have no such metric.
    """
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
