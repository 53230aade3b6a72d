"""Nightly: every card in experiments/results trained again for its first steps, and the names of
its metrics. A card that no longer holds is stale.

On a processor of the card's kind every bit must be the same. On another one a change of the last
bits cannot be told from the processor's own: there the data must be the same to the bit, and the
parameters' norm nearly so.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from dlcore.data import tfds
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import trust
from dlcore.runs.new_card import describe
from tests.child import CACHE, REPOSITORY, Child

RESULTS = sorted((REPOSITORY / "experiments" / "results").glob("*.json"))
DATA = REPOSITORY.parent / "shared" / "data" / "tfds"
STEPS = 10
LIMIT = 600.0  # seconds, with the time to compile and to decode a set
# of the norm of the parameters after STEPS steps: other processors add in another order (1.6e-6 was
# seen, of a GAN)
DRIFT = 1e-5
# come with the installation
EMBEDDED = ("digits", "breast_cancer", "diabetes", "documentation", "adding_", "copy_", "drawn")


# the prepared sets of those that are made of others
MADE_OF = {
    "digit_scenes": ("mnist",),
    "moving_mnist": ("mnist",),
    "pairs": ("taskmaster4_rewards",),
    "photographs": ("style_images", "vgg16_imagenet_features"),
    "sgd_dialogue+taskmaster4": ("sgd_dialogue", "taskmaster4"),
    "universal_dependencies_en_ewt": ("universal_dependencies",),
}


def needed(card: dict[str, Any]) -> list[str]:
    """The prepared data sets that a card's run reads."""
    names = {each["name"].split()[0] for each in card["data"].values()}
    own = {name for name in names if not name.startswith(EMBEDDED)}
    return sorted({name for each in own for name in MADE_OF.get(each, (each,))})


def prepared(card: dict[str, Any]) -> Path:
    """The folder with the prepared data sets of a card's run; skips the test without them."""
    names, places = needed(card), [tfds.data_folder(), DATA]
    for place in places:
        if all((place / name).is_dir() for name in names):
            return place
    pytest.skip(
        f"{', '.join(names)}: not prepared in {tfds.data_folder()} or ../shared/data/tfds;"
        f" dlcore prepare {names[0]}"
    )


@pytest.mark.nightly
@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_card_has_the_metrics_that_its_page_measures(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = json.loads(path.read_text(encoding="utf-8"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared(card)))
    page = trust.page(path, card, False)
    config = cards.fields(path, page.config, card, "config")
    if isinstance(getattr(config, "pretrained", None), str):
        config = dataclasses.replace(config, pretrained="")  # another run, perhaps not there
    source = cards.fields(path, RunOptions, card, "run").source
    assert set(describe(page.experiment(config, source))["metrics"]) == set(card["metrics"])


@pytest.mark.nightly
@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_card_holds(path: Path, tmp_path: Path) -> None:
    card = json.loads(path.read_text(encoding="utf-8"))
    folder = prepared(card)
    pretrained, where = card["config"].get("pretrained"), tmp_path
    if isinstance(pretrained, str) and pretrained:
        if not (REPOSITORY / pretrained).is_dir():
            pytest.skip(f"begins with the parameters of {pretrained}: train that first")
        where = REPOSITORY
    child = Child(
        "verify", path, "--steps", str(STEPS), folder=where,
        TFDS_DATA_DIR=str(folder), DLCORE_CACHE=str(CACHE.parent / "decoded-tests"),
    )  # fmt: skip
    code, said = child.wait(LIMIT), child.output()
    assert "  data " not in said, said
    if code == 0:
        return
    host = {line.strip().split(":")[0] for line in said.splitlines() if line.startswith("  ")}
    assert host & {
        "host cpu",
        "host model",
        "host cores",
        "versions jaxlib",
        "versions jax",
        "devices kind",
    }, f"stale: {said}"
    drift = float(said.split(" of it)")[0].rsplit("(", 1)[1])
    assert drift < DRIFT, said
