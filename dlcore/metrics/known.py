"""Known metrics by their exact names: which direction is better, and the unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Better = Literal["higher", "lower"]


class Metric(NamedTuple):
    """Direction and unit of a metric.

    Attributes:
        better: whether "higher" or "lower" values are better; None: neither, or unknown.
        unit: of its values, such as "dB"; "": none.
        baseline_of: the metric whose value for a trivial method this is, such as "mse"; "": none.
    """

    better: Better | None
    unit: str = ""
    baseline_of: str = ""


_HIGHER, _LOWER = Metric("higher"), Metric("lower")


KNOWN: Mapping[str, Metric] = {
    **dict.fromkeys(
        (
            "accuracy",
            "top5_accuracy",
            "precision",
            "recall",
            "f1",
            "sensitivity",
            "specificity",
            "auc",
        ),
        _HIGHER,
    ),
    **dict.fromkeys(("average_precision", "map", "iou", "dice", "ssim", "r2", "elbo"), _HIGHER),
    **dict.fromkeys(("in_scope_accuracy", "out_of_scope_recall"), _HIGHER),  # Larson et al. 2019
    **dict.fromkeys(
        ("loss", "cross_entropy", "perplexity", "error_rate", "wer", "cer", "calibration_error"),
        _LOWER,
    ),
    **dict.fromkeys(("squared_error", "mse", "rmse", "mae", "fid", "frechet_distance"), _LOWER),
    "nll": Metric("lower", "nats"),
    "bits_per_byte": Metric("lower", "bits"),
    "psnr": Metric("higher", "dB"),
    "bleu": _HIGHER,
    "chrf": _HIGHER,
}


def known(name: str, declared: Mapping[str, object] | None = None) -> Metric:
    """Looks up direction and unit of a metric; nothing is guessed for unknown names.

    Args:
        name: such as "accuracy", or with its objective "net/accuracy". The whole name is looked up
            first, in `declared` and then in the table `KNOWN`; then its last part, in both again.
        declared: {name: Metric} of an experiment, or {name: {"better": ..., ...}} from a card;
            None: empty.

    Returns:
        The metric; with `better` None where the name is unknown.
    """
    for key in (name, name.rpartition("/")[2]):
        found = (declared or {}).get(key)
        if isinstance(found, Metric):
            return found
        if isinstance(found, Mapping):
            better = found.get("better")
            return Metric(
                better if better in ("higher", "lower") else None,
                str(found.get("unit", "")),
                str(found.get("baseline_of", "")),
            )
        if key in KNOWN:
            return KNOWN[key]
    return Metric(None)


def best_baseline(
    name: str, results: Mapping[str, float], declared: Mapping[str, object]
) -> str | None:
    """Finds the best of the baselines of a metric, by the direction of that metric.

    Args:
        name: the metric.
        results: values by metric, of one split.
        declared: as of `known`.

    Returns:
        The baseline's name; None if no metric of `results` is declared as one of `name`.
    """
    found = [each for each in results if known(each, declared).baseline_of == name]
    best = max if known(name, declared).better == "higher" else min
    return best(found, key=lambda each: results[each]) if found else None
