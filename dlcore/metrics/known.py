"""The table of known metrics: which direction is better, and the unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Better = Literal["higher", "lower"]


class Metric(NamedTuple):
    """What an experiment declares of a metric: which values are better (None: neither, it only
    describes), and its unit.
    """

    better: Better | None
    unit: str = ""


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


def known(name: str, declared: Mapping[str, Any] | None = None) -> Metric:
    """What `name` ("accuracy", or with its objective "net/accuracy") means: as `declared` says,
    else as the field uses that exact name.

    Of an unknown name nothing is guessed: its `better` is None. `declared` may come from a card,
    where a Metric is a mapping.
    """
    for each in (name, name.rpartition("/")[2]):
        found = (declared or {}).get(each)
        if isinstance(found, Metric):
            return found
        if isinstance(found, Mapping):
            better = found.get("better")
            return Metric(
                better if better in ("higher", "lower") else None, str(found.get("unit", ""))
            )
        if each in KNOWN:
            return KNOWN[each]
    return Metric(None)
