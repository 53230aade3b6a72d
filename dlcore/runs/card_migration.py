"""Migrates cards of older formats when they are read.

In format 1 (no `format` in the card) `offline` and the optimizer's settings were fields of the
config.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from dlcore.errors import UsageError
from dlcore.files import Json
from dlcore.runs.card_fields import Card

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


def migrated(card: Mapping[str, Json], path: Path) -> Card:
    """Returns a card of an older format in the current one.

    Args:
        card: as it is in the file; of another format than the current one.
        path: the file, for the message.

    Raises:
        UsageError: its format is newer than this version of dlcore.
    """
    if card.get("format", 1) != 1:
        raise UsageError(
            f"{path} has format {card['format']}, which a newer dlcore has written: read it with"
            " that version"
        )
    return cast(Card, _from_1(card))


def _from_1(card: Mapping[str, Json]) -> dict[str, Json]:
    experiment, old = str(card["experiment"]), _mapping(card, "config")
    offline = bool(old.pop("offline", False))
    names = {**_RENAMED, **_RENAMED_OF.get(experiment, {})}
    config: dict[str, Json] = {}
    for name, value in old.items():
        paths = names.get(name, (name,))
        parts = value if len(paths) > 1 and isinstance(value, list) else [value]
        for path, part in zip(paths, parts, strict=True):
            _put(config, path, part)
    if (experiment, config.get("loss")) == ("gan_mnist", "wgan_gp"):
        config["loss"] = "wasserstein"
    width = config.get("width")
    if offline and experiment in ("flow_mnist", "gan_mnist") and isinstance(width, int):
        config["width"] = width // 3  # in format 1 `build` divided the width
    run: dict[str, Json] = {"offline": offline, "data": "", **_mapping(card, "run")}
    if isinstance(run.get("diagnose"), bool):
        run["diagnose"] = "auto" if run["diagnose"] else "never"
    return {**card, "format": 2, "config": config, "run": run}


def _mapping(card: Mapping[str, Json], word: str) -> dict[str, Json]:
    """A copy of a mapping in a card; {} where it is missing."""
    value = card.get(word)
    return dict(value) if isinstance(value, dict) else {}


def _put(config: dict[str, Json], path: str, value: Json) -> None:
    *above, last = path.split(".")
    for name in above:
        nested = config.setdefault(name, {})
        assert isinstance(nested, dict), "a field of the config has the name of a nested one"
        config = nested
    config[last] = value
