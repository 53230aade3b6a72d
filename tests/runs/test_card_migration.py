"""Cards of the first format are read as today's; those of a newer one are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dlcore.errors import UsageError
from dlcore.runs import card as cards
from dlcore.runs import catalog

pytestmark = pytest.mark.quick
OLD: dict[str, Any] = {
    "experiment": "gan_mnist",
    "config": {
        "loss": "wgan_gp",
        "critic": 2,
        "penalty": 5.0,
        "betas": [0.4, 0.8],
        "lr": 1e-3,
        "drawn": 7,
        "spread": 0.5,
        "latent": 3,
        "batch": 4,
        "steps": 9,
        "offline": True,
    },
    "run": {"seed": 3, "diagnose": False},
    "results": {"test": {"recall": 0.5}},
}


def read(folder: Path, card: dict[str, Any]) -> cards.Card:
    (folder / "card.json").write_text(json.dumps(card))
    return cards.read(folder)


def test_fields_of_the_first_format_have_today_s_names(tmp_path: Path) -> None:
    card = read(tmp_path, OLD)
    assert card["format"] == cards.FORMAT
    assert card["run"] == {"offline": True, "data": "", "seed": 3, "diagnose": "never"}
    assert card["results"] == OLD["results"]
    page = catalog.load(catalog.find("gan_mnist"))
    config = cards.fields(tmp_path, page.config, card, "config")
    assert (config.loss, config.critic_updates, config.gradient_penalty) == ("wasserstein", 2, 5.0)
    assert (config.recipe.lr, config.recipe.b1, config.recipe.b2) == (1e-3, 0.4, 0.8)
    assert (config.num_samples, config.noise_scale, config.latent) == (7, 0.5, 3)
    assert (config.batch, config.steps) == (4, 9)
    assert config.recipe.schedule == "linear", "what no field said is the experiment's own"


def test_today_s_format_is_left_alone_and_a_newer_one_is_refused(tmp_path: Path) -> None:
    card = {"format": cards.FORMAT, "experiment": "x", "config": {"lr": 1.0}}
    assert read(tmp_path, card) == card
    with pytest.raises(UsageError, match="has format 3, which a newer dlcore has written"):
        read(tmp_path, {**card, "format": 3})


@pytest.mark.parametrize(
    "path",
    sorted(Path(__file__).parents[2].glob("experiments/results/*.json")),
    ids=lambda p: p.stem,
)
def test_every_kept_card_is_of_today_s_format_and_config(path: Path) -> None:
    card = json.loads(path.read_text(encoding="utf-8"))
    assert card["format"] == cards.FORMAT
    page = catalog.load(catalog.find(card["experiment"]))
    assert (
        json.loads(
            json.dumps(cards.fields(path, page.config, card, "config").__dict__, default=vars)
        )
        == card["config"]
    )
