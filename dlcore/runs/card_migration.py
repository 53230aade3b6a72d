"""Migrates cards of older formats when they are read.

In format 1 (no `format` in the card) `offline` and the optimizer's settings were fields of the
config.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcore.errors import UsageError

# {field of format 1: path of format 2}, for all experiments and for single ones. The two values of
# a pair go to two paths.
_RENAMED: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("recipe.optimizer",),
    "lr": ("recipe.lr",),
    "decay": ("recipe.weight_decay",),
    "clip": ("recipe.clip_norm",),
    "warmup": ("recipe.warmup",),
    "smoothing": ("label_smoothing",),
    "shift": ("max_shift",),
    "pieces": ("vocabulary",),
}
_RENAMED_OF: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "bert_english": {"masked": ("mask_fraction",)},
    "flow_mnist": {"untold": ("class_dropout",), "drawn": ("num_samples",)},
    "gan_fashion_mnist": {"drawn": ("num_samples",)},
    "gan_mnist": {
        "critic": ("critic_updates",),
        "penalty": ("gradient_penalty",),
        "spread": ("noise_scale",),
        "drawn": ("num_samples",),
        "betas": ("recipe.b1", "recipe.b2"),
    },
    "gru_multi30k": {"penalty": ("length_penalty",)},
    "lru_sequential_mnist": {
        "least": ("min_radius",),
        "most": ("max_radius",),
        "turn": ("max_phase",),
    },
    "resnet_cifar10": {"drop": ("stochastic_depth",)},
    "rnn_sequential_mnist": {"both": ("bidirectional",)},
    "transformer_multi30k": {"penalty": ("length_penalty",)},
}


def migrated(card: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The card in the current format. UsageError: its format is newer."""
    if card.get("format", 1) != 1:
        raise UsageError(
            f"{path} has format {card['format']}, which a newer dlcore has written: read it with"
            " that version"
        )
    return _from_1(card)


def _from_1(card: Mapping[str, Any]) -> dict[str, Any]:
    experiment, old = str(card["experiment"]), dict(card.get("config", {}))
    offline = bool(old.pop("offline", False))
    names = {**_RENAMED, **_RENAMED_OF.get(experiment, {})}
    config: dict[str, Any] = {}
    for name, value in old.items():
        paths = names.get(name, (name,))
        for path, part in zip(paths, value if len(paths) > 1 else (value,), strict=True):
            _put(config, path, part)
    if (experiment, config.get("loss")) == ("gan_mnist", "wgan_gp"):
        config["loss"] = "wasserstein"
    if offline and experiment in ("flow_mnist", "gan_mnist") and "width" in config:
        config["width"] //= 3  # in format 1 `build` divided the width
    run = {"offline": offline, "data": "", **card.get("run", {})}
    if isinstance(run.get("diagnose"), bool):
        run["diagnose"] = "auto" if run["diagnose"] else "never"
    return {**card, "format": 2, "config": config, "run": run}


def _put(config: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for name in above:
        config = config.setdefault(name, {})
    config[last] = value
