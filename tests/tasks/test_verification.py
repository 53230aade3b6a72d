"""Verification: folds that know nothing of the people they are tested on."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore.data.source import Arrays
from dlcore.kernels.contrast import info_nce
from dlcore.metrics.verification import SameProbability, pairs, verification
from dlcore.tasks import verification as task
from dlcore.tasks import verification_pairs
from dlcore.train.model import Model
from tests.child import built
from tests.tasks.test_predictors import untrained

pytestmark = pytest.mark.slow

FOLDS, CLASSES, SIZE = 2, 3, 4


class Given:
    """A "model" whose embeddings are the parameters themselves."""

    name = "nets"

    def __call__(self, params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        return (params["embedding"], params["cosine"]), extra


def example() -> tuple[dict[str, Any], dict[str, Any]]:
    generator = np.random.default_rng(0)
    embedding = generator.standard_normal((6, FOLDS, SIZE))
    embedding /= np.linalg.norm(embedding, axis=-1, keepdims=True)
    label = np.array([0, 0, 1, 1, 2, 2], np.int32)
    learns = np.stack([label != 0, label != 2], 1).astype(np.float32)
    batch = {
        "label": jnp.asarray(label),
        "learns": jnp.asarray(learns),
        "mask": jnp.asarray([1, 1, 1, 1, 1, 0], jnp.float32),
        "row": jnp.arange(6),
    }
    cosine = generator.uniform(-0.8, 0.8, (6, FOLDS, CLASSES))
    params = {"embedding": jnp.asarray(embedding, jnp.float32)}
    return {**params, "cosine": jnp.asarray(cosine, jnp.float32)}, batch


@functools.partial(jax.jit, static_argnums=0)
def total(kind: task.Kind, params: Any, batch: Any) -> Any:
    out = task.loss(Given(), kind, 0.3, 5.0)(params, {}, batch, jax.random.key(0), True)  # type: ignore[arg-type]
    return out.loss.total, out.loss.weight


@pytest.mark.parametrize("kind", ["arcface", "cosface", "contrastive", "triplet"])
def test_a_network_learns_nothing_from_people_it_is_tested_on(kind: task.Kind) -> None:
    params, batch = example()
    slope = jax.grad(lambda p: total(kind, p, batch)[0])(params)
    used = slope["cosine" if kind in ("arcface", "cosface") else "embedding"]
    counts = np.asarray(batch["learns"] * batch["mask"][:, None])
    assert not np.asarray(used)[counts == 0].any()
    assert np.asarray(used)[counts == 1].any()


def test_margin_loss_is_a_cross_entropy_of_the_training_examples() -> None:
    params, batch = example()
    logits = 5 * params["cosine"]
    true = jax.nn.one_hot(batch["label"], CLASSES)[:, None]
    expected = optax.softmax_cross_entropy(logits - 5 * 0.3 * true, jnp.broadcast_to(
        true, logits.shape))  # fmt: skip
    mask = batch["mask"][:, None]
    of_training, of_others = batch["learns"] * mask, (1 - batch["learns"]) * mask
    found, weight = total("cosface", params, batch)
    assert float(weight) == float(of_training.sum())
    assert float(found) == pytest.approx(float((expected * of_training).sum()), rel=1e-5)
    out = task.loss(Given(), "cosface", 0.3, 5.0)(params, {}, batch, jax.random.key(0), False)  # type: ignore[arg-type]
    assert float(out.loss.weight) == float(of_others.sum())
    assert float(out.loss.total) == pytest.approx(float((expected * of_others).sum()), rel=1e-5)
    right = params["cosine"].argmax(-1) == batch["label"][:, None]
    assert float(out.metrics["accuracy"].total) == float((right * of_others).sum())


def test_contrast_is_that_of_each_fold_alone() -> None:
    """Examples without a positive have no weight."""
    params, batch = example()
    expected = count = 0.0
    for fold in range(FOLDS):
        kept = np.flatnonzero(np.asarray(batch["learns"])[:, fold] * np.asarray(batch["mask"]))
        z, label = params["embedding"][kept, fold], np.asarray(batch["label"])[kept]
        positive = label[:, None] == label[None]
        each = info_nce(z, z, jnp.asarray(positive), ~jnp.eye(len(kept), dtype=bool), 0.2)
        expected += float(each.sum())
        count += ((positive.sum(1) - 1) > 0).sum()
    found, weight = total("contrastive", params, batch)
    assert (float(found), float(weight)) == (pytest.approx(expected, rel=1e-5), count)


def test_scores_are_of_unseen_pairs_alone_and_means_over_folds() -> None:
    experiment, state = untrained("faces_orl")
    source: Arrays = experiment.splits.test
    (evaluator,) = experiment.evaluators
    model = experiment.models[0]
    embedding = task.embeddings(model, state, source)
    found = evaluator.score(state, {"embedding": embedding}, "test")
    label, learns = source.arrays["label"], source.arrays["learns"]
    by_hand = []
    for fold in range(learns.shape[1]):
        index = np.flatnonzero(learns[:, fold] == 0)
        assert not {*label[index]} & {*label[learns[:, fold] == 1]}
        made = pairs(embedding[index, fold], label[index])
        by_hand.append(verification(made.similarity, made.same))
    assert found["eer"] == pytest.approx(np.mean([each.eer for each in by_hand]))
    assert found["eer_deviation"] == pytest.approx(np.std([each.eer for each in by_hand]))
    assert found["auc"] == pytest.approx(np.mean([each.auc for each in by_hand]))
    assert found["tar_at_far_1"] == pytest.approx(np.mean([each.tar_at_far_1 for each in by_hand]))
    fitted = verification_pairs.calibrated(
        verification_pairs.unseen_pairs(embedding, source), label
    ).fitted
    same = SameProbability(found["same_slope"], found["same_intercept"])
    np.testing.assert_allclose(same(np.array([-0.3, 0.9])), fitted(np.array([-0.3, 0.9])))
    assert same(found["threshold"]) == pytest.approx(0.5)
    assert found.keys() == task.METRICS.keys()
    assert 0 < found["pca_eer"] < 0.5
    assert all(0 < found[f"{name}_tar_at_far_1"] <= 1 for name in task.BASELINES)


def test_samples_show_pairs_by_similarity_and_the_worst_mistakes() -> None:
    experiment, state = untrained("faces_orl")
    shown = experiment.draw(state, jax.random.key(0))
    titles = [sample.title for sample in shown]
    assert any("worst mistakes" in title for title in titles)
    assert any("ROC" in title for title in titles)
    first: Any = shown[0]
    assert {True, False} == {*first.right}
    assert first.images.shape[2] == 2 * 16 + 2
    chance = [int(each.split("%")[0].split()[-1]) for each in first.captions]
    half = len(chance) // 2  # pairs of one person, then of two
    assert chance[:half] == sorted(chance[:half])
    assert chance[half:] == sorted(chance[half:])
    (worst,) = [sample for sample in shown if "worst mistakes" in sample.title]
    assert not any(worst.right)  # type: ignore[attr-defined]
    misses = []
    for caption in worst.captions:  # type: ignore[attr-defined]
        percent = int(caption.split("%")[0].split()[-1])
        misses.append(100 - percent if caption.endswith("is one") else percent)
    assert min(misses) >= 50
    assert misses == sorted(misses, reverse=True)
    assert built("faces_yale", neighbourhoods=()).splits.facts.people[0] == "person 0"


def test_models_are_those_of_the_folds() -> None:
    experiment, _ = untrained("faces_orl")
    model: Model = experiment.models[0]
    assert model.net.folds == len(experiment.splits.facts.held_out)  # type: ignore[attr-defined]
