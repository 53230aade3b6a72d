"""A task that dlcore does not have, added in new files alone: its loss, metric, sample, predictor
and experiment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from dlcore.cli import main as cli
from dlcore.report import page as report
from dlcore.runs import card as cards
from dlcore.runs import catalog, evaluation, trust
from tests.child import card, logged

TASK = '''
"""Ordinal regression: classes in an order, by the probability of being above each threshold.

Cheng et al. 2008.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.metrics.known import Metric
from dlcore.train import Out, Scored, mean


def rank(logits):
    """How many thresholds a value is above: logits [batch, classes - 1] -> int [batch]."""
    return (logits > 0).sum(-1)


def loss(model):
    def above(params, extra, batch, key, train):
        logits, extra = model(params, extra, batch, key, train)
        target = batch["label"][:, None] > jnp.arange(logits.shape[-1])[None]
        each = jax.nn.softplus(jnp.where(target, -logits, logits)).sum(-1)
        return Out(mean(each, batch["mask"]), {}, extra)

    return above


def evaluators(model, splits):
    def collect(state, batch):
        logits = model(state.params, state.extra, batch, None, False)[0]
        return {"rank": rank(logits), "label": batch["label"]}

    def score(collected, split):
        distance = np.abs(collected["rank"].astype(int) - collected["label"])
        return {"rank_error": float(np.mean(distance)), "worst_rank_error": float(distance.max())}

    metrics = {"rank_error": Metric("lower", "ranks"), "worst_rank_error": Metric("lower", "ranks")}
    return [Scored({"validation": splits.validation, "test": splits.test}, collect, score, metrics)]


@dataclasses.dataclass(frozen=True)
class Ladder:
    """A kind of sample: each example on its rung, drawn as an SVG, with its numbers beside it."""

    title: str
    predicted: np.ndarray
    true: np.ndarray

    def parts(self, files):
        points = [(10 + 9 * i, 90 - 8 * int(rank)) for i, rank in enumerate(self.predicted)]
        rungs = "".join(f'<circle cx="{x}" cy="{y}" r="3"/>' for x, y in points)
        drawn = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 100">{rungs}</svg>'
        rows = [[int(a), int(b)] for a, b in zip(self.predicted, self.true, strict=True)]
        picture = files.svg(drawn.encode(), "predicted ranks")
        return [picture, files.table(("predicted", "true"), rows)]


def samples(model, source, count=10):
    def draw(state, key):
        batch = source.gather(np.arange(count))
        logits = model(state.params, state.extra, batch, None, False)[0]
        return Ladder("Ranks of test examples", np.asarray(rank(logits)), batch["label"])

    return draw


@dataclasses.dataclass(frozen=True)
class Options:
    most: int = 3


class Predictor:
    options = Options()

    def __init__(self, model):
        self.model = model

    def items(self, files, text):
        return [np.loadtxt(file, np.float32).reshape(8, 8, 1) for file in files]

    def batch(self, state, items):
        images = np.stack(items).astype(np.uint8)
        batch = {"image": images, "row": np.arange(len(images), dtype=np.int32)}
        ranks = np.asarray(rank(self.model(state.params, state.extra, batch, None, False)[0]))
        return [({"rank": int(each)}, Ladder("Rank", each[None], each[None])) for each in ranks]
'''
EXPERIMENT = '''
"""Digits in their order.

Family: MLP
Task: ordinal regression
Data: scikit-learn's digits
Published: none
"""

from dataclasses import dataclass

import jax.numpy as jnp

import ordinal
from dlcore.data.sets import embedded
from dlcore.models.mlp import MLP
from dlcore.train import Experiment, Model, Objective, Recipe


@dataclass(frozen=True)
class Config:
    width: int = 16
    recipe: Recipe = Recipe("adamw", lr=1e-2)
    batch: int = 32
    steps: int = 60


def data(c, source):
    return embedded.load("digits", source)


def build(c, splits):
    net = MLP((c.width,), classes=len(splits.facts.classes) - 1)
    model = Model("net", net, lambda batch, key, train: batch["image"].astype(jnp.float32) / 255)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(ordinal.loss(model), c.recipe(c.steps))},
        evaluators=ordinal.evaluators(model, splits),
        samples=[ordinal.samples(model, splits.test)],
        predictor=ordinal.Predictor(model),
        best="validation/rank_error",
    )
'''


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "ordinal.py").write_text(TASK)
    (tmp_path / "digits_in_order.py").write_text(EXPERIMENT)
    yield
    sys.modules.pop("ordinal", None)


@pytest.mark.slow
@pytest.mark.usefixtures("_here")
def test_a_new_task_needs_new_files_alone() -> None:
    words = ["train", "digits_in_order.py", "--eval-every", "20", "--out", "run"]
    assert cli.main(words) == 0
    record = card(Path("run"))
    curve = [line["rank_error"] for line in logged(Path("run"), "validation")]
    assert len(curve) == 3
    assert curve[-1] < curve[0] < 4
    assert record["best"]["metric"] == "validation/rank_error"
    assert record["best"]["better"] == "lower"
    assert record["metrics"]["rank_error"]["unit"] == "ranks"
    assert record["results"]["test"].keys() == {"loss", "rank_error", "worst_rank_error"}
    html = report.write([Path("run")], None).read_text()
    assert "Ranks of test examples" in html
    assert "data:image/svg+xml" in html
    # What is predicted needs no training data: the experiment is built from the facts in the run's
    # folder.
    folder = Path("run")
    page = trust.page(folder, cards.read(folder), True)
    experiment = page.without_data(page.config(), folder)
    assert experiment is not None
    assert experiment.predictor is not None
    from dlcore.options import RunOptions

    state = evaluation.restored(experiment, RunOptions(), folder, cards.read(folder))
    np.savetxt("digit.txt", np.full((8, 8), 100))
    items = experiment.predictor.items([Path("digit.txt")], [])
    ((answer, sample),) = experiment.predictor.batch(state, items)
    assert 0 <= answer["rank"] <= 9
    assert sample.title == "Rank"
    assert catalog.load(Path("digits_in_order.py")).name == "digits_in_order"
