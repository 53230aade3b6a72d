"""Learning without labels: two views of an image find each other, and probes use few labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data import few_labels
from dlcore.data.facts import Facts
from dlcore.data.source import arrays, first
from dlcore.data.splits import Splits
from dlcore.models.contrastive import Encoded
from dlcore.tasks import contrastive
from dlcore.tasks.view_augmentation import Views
from dlcore.train.step import State
from tests.child import built
from tests.tasks.test_predictors import untrained

ROWS, SIZE, CLASSES = 5, 3, 4


class Given:
    """A "model" whose outputs are the parameters themselves."""

    name = "net"

    def __call__(self, params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        return Encoded(params["z"], params["z"], params["logits"]), extra


def example() -> tuple[dict[str, Any], dict[str, Any]]:
    generator = np.random.default_rng(0)
    z = generator.standard_normal((2 * ROWS, SIZE))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    logits = generator.standard_normal((2 * ROWS, CLASSES))
    params = {"z": jnp.asarray(z, jnp.float32), "logits": jnp.asarray(logits, jnp.float32)}
    batch = {
        "row": jnp.arange(ROWS),
        "label": jnp.arange(ROWS) % CLASSES,
        "labelled": jnp.asarray([[0, 1], [0, 0], [1, 1], [0, 0], [0, 1]]),
        "mask": jnp.asarray([1.0, 1, 1, 1, 0]),
    }
    return params, batch


def test_the_nearest_view_is_found_in_float32() -> None:
    angles = np.array([0, 0.05, -0.03, 0.05])  # two images, their other views
    z = jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], -1), jnp.bfloat16)
    exact = np.asarray(z, np.float64)
    cosines = exact @ exact.T - 4 * np.eye(4)
    expected = cosines.argmax(1) == [2, 3, 0, 1]
    batch = {"row": jnp.arange(2), "mask": jnp.ones(2)}
    _, found = contrastive._contrast(z, batch, 0.5)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_contrast_worked_out_view_by_view() -> None:
    """NT-Xent of Chen et al. 2020, eq. 1; the last example is padding."""
    params, batch = example()
    z = np.asarray(params["z"], np.float64)
    losses, nearest = [], []
    for i in range(2 * ROWS):
        if i % ROWS == ROWS - 1:
            continue
        others = [j for j in range(2 * ROWS) if j != i and j % ROWS != ROWS - 1]
        logits = {j: z[i] @ z[j] / 0.5 for j in others}
        partner = (i + ROWS) % (2 * ROWS)
        losses.append(np.log(sum(np.exp(x) for x in logits.values())) - logits[partner])
        nearest.append(max(logits, key=lambda j: logits[j]) == partner)
    encoder: Any = Given()
    loss = contrastive.loss(encoder, 0.5)
    out = jax.jit(lambda p: loss(p, {}, batch, jax.random.key(0), True))(params)
    found = {name: float(m.total / m.weight) for name, m in out.metrics.items()}
    assert found["contrast"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["views_matched"] == pytest.approx(np.mean(nearest))
    assert float(out.loss.weight) == 2 * (ROWS - 1)


def test_the_probe_uses_labels_that_are_allowed_and_no_others() -> None:
    params, batch = example()

    def total(logits: Any) -> Any:
        given = {**params, "logits": logits}
        out = contrastive.loss(Given(), 0.5)(given, {}, batch, jax.random.key(0), True)  # type: ignore[arg-type]
        return out.loss.total

    slope = np.asarray(jax.jit(jax.grad(total))(params["logits"]))
    assert slope.any(1).tolist() == [True, False, True, False, False] + [False] * ROWS


@pytest.mark.slow
def test_no_gradient_of_the_probe_reaches_the_encoder() -> None:
    experiment, state = untrained("simclr_cifar10")
    model = experiment.models[0]
    batch = {name: jnp.asarray(x) for name, x in experiment.train.gather(np.arange(4)).items()}
    batch["row"] = jnp.arange(4)

    def logits(params: Any) -> Any:
        return (model({"net": params}, state.extra, batch, None, False)[0].logits ** 2).sum()

    slope = jax.jit(jax.grad(logits))(jax.tree.map(lambda x: x + 0.1, state.params["net"]))
    assert np.abs(slope.pop("probe")["kernel"]).max() > 0
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(slope))


@pytest.mark.slow
def test_views_differ_and_predictions_see_the_image_itself() -> None:
    experiment, _ = untrained("simclr_cifar10")
    model = experiment.models[0]
    batch = {name: jnp.asarray(x) for name, x in experiment.train.gather(np.arange(6)).items()}
    batch["row"] = jnp.arange(6)

    @jax.jit
    def augmented(batch: Any) -> Any:
        (views,), options = model.inputs(batch, jax.random.key(0), True)
        return views, options["row"]

    views, row = augmented(batch)
    assert views.shape[0] == 12
    assert row.tolist() == [*range(6)] * 2
    assert float(jnp.abs(views[:6] - views[6:]).mean()) > 0.05
    (alone,), _ = model.inputs(batch, None, False)
    np.testing.assert_allclose(
        alone, 4 * np.asarray(batch["image"], np.float64) / 255 - 2, atol=1e-6
    )


def test_linear_probes_learn_from_the_labels_they_may_use() -> None:
    """Classes that are corners of a square: few labels suffice; wrong labels teach nothing."""
    generator = np.random.default_rng(0)
    corners = np.array([[0, 0], [0, 4], [4, 0], [4, 4]])

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        label = np.arange(count) % 4
        return corners[label] + generator.normal(0, 0.5, (count, 2)), label

    parts = {"train": part(40), "validation": part(80), "test": part(200)}
    assert contrastive.probe_accuracy(parts, np.arange(8)) > 0.95
    parts["train"] = (parts["train"][0], generator.permutation(parts["train"][1]))
    assert contrastive.probe_accuracy(parts, np.arange(40)) < 0.7


def test_the_answers_of_the_test_choose_no_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation likes all penalties alike, and the test would like the last one best."""
    from sklearn import linear_model

    class Fitted:
        def __init__(self, C: float, max_iter: int) -> None:
            self.penalty = C

        def fit(self, x: np.ndarray, y: np.ndarray) -> Fitted:
            return self

        def score(self, x: np.ndarray, label: np.ndarray) -> float:
            return self.penalty / 10 if len(x) == 30 else 0.5

    monkeypatch.setattr(linear_model, "LogisticRegression", Fitted)
    sizes = {"train": 10, "validation": 20, "test": 30}
    parts = {name: (np.zeros((n, 2)), np.zeros(n, int)) for name, n in sizes.items()}
    assert contrastive.probe_accuracy(parts, np.arange(10)) == pytest.approx(0.001)


def test_the_supervised_network_has_the_labels_of_the_probe() -> None:
    few = built("simclr_cifar10", labels=0.1)
    all_of_them = built("simclr_cifar10")
    label = all_of_them.train.arrays["label"]  # type: ignore[attr-defined]
    index = few_labels.labelled(label, 0.1)
    np.testing.assert_array_equal(few.train.arrays["label"], label[index])  # type: ignore[attr-defined]
    marks = all_of_them.train.arrays["labelled"]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(np.flatnonzero(marks[:, 1]), index)
    assert [*few.objectives] == ["net"]


@pytest.mark.nightly
def test_samples_and_answers() -> None:
    experiment, state = untrained("simclr_cifar10")
    shown = experiment.draw(state, jax.random.key(0))
    assert "two views" in shown[0].title
    nearest: Any = shown[1]
    assert nearest.right[::8] == (True,) * 8  # each image is its own nearest
    few = replace(experiment.splits, test=first(experiment.splits.test, 3))
    views, nearest = contrastive.samples("A few", experiment.models[0], Views(), few)(
        state, jax.random.key(0)
    )
    assert (len(views.images), len(nearest.images), nearest.columns) == (6, 9, 3)
    # an image comes before its exact duplicate, also where that one has another label
    contents = {
        "image": few.test.gather(np.array([0, 0, 2]))["image"],
        "label": np.arange(3, dtype=np.int32),
    }
    duplicates = replace(few, test=arrays("duplicates", "1", "test", contents))
    _, nearest = contrastive.samples("Duplicates", experiment.models[0], Views(), duplicates)(
        state, jax.random.key(0)
    )
    assert nearest.captions[::3] == tuple(map(str, few.facts.classes[:3]))
    predictor: Any = experiment.predictor
    image = experiment.splits.test.gather(np.arange(2))["image"]
    (answer, _), _ = predictor.batch(state, [predictor.item(x) for x in image])
    assert 0 < answer["probability"] <= 1


def test_an_untrained_encoder_tells_apart_classes_that_come_one_after_the_other() -> None:
    """Its statistics are those of batches, in which the classes are mixed."""

    def normalised(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        image = batch["image"]
        features = image - image.mean(0, keepdims=True) if train else image
        return Encoded(features, features, features), extra

    model: Any = normalised
    image = np.repeat(np.arange(4.0, dtype=np.float32), 8)[:, None]
    source, state = arrays("classes", "1", "train", {"image": image}), State(0, {}, {}, {})  # type: ignore[arg-type]
    found = contrastive.features_of(model, state, source, np.arange(32), True, batch=8)
    means = found.reshape(4, 8).mean(1)
    assert (np.diff(means) > 0.5).all()
    again = contrastive.features_of(model, state, source, np.arange(32), True, batch=8)
    np.testing.assert_array_equal(found, again)
    some = np.array([30, 2, 17])
    whole = contrastive.features_of(model, state, source, some, True)
    np.testing.assert_allclose(whole, image[some] - image[some].mean(), atol=1e-6)
    trained = contrastive.features_of(model, state, source, some)
    np.testing.assert_array_equal(trained, image[some])


def test_probes_are_of_their_own_encoder_and_labels() -> None:
    """Features of one encoder are the label, those of the random one are constant."""
    label = np.arange(60, dtype=np.int32) % 3
    label[label == 2] = np.where(np.arange(20) < 10, 0, 2)  # half of the examples have class 0
    image = np.zeros((60, 2, 2, 1), np.uint8)
    image[:, 0, 0, 0] = label
    contents = {"image": image, "label": label}
    sources = {
        name: arrays("made", "1", name, contents) for name in ("train", "validation", "test")
    }
    splits = Splits.of(sources, facts=Facts(classes=["a", "b", "c"]))

    def encoder(constant: bool) -> Any:
        def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
            x = jax.nn.one_hot(batch["image"][:, 0, 0, 0], 3) * (not constant)
            return Encoded(x, x, x), extra

        return model

    online, last = contrastive.evaluators(encoder(False), encoder(True), splits, (0.5, 1.0))
    state: Any = State(jnp.zeros((), jnp.int32), {}, {}, {})
    found = last.score(state, {}, "test")
    assert found.keys() == last.metrics.keys()
    for percent in (50, 100):
        assert found[f"probe_accuracy_{percent}"] == 1
        assert found[f"random_accuracy_{percent}"] == pytest.approx(0.5)
    assert "online_accuracy" in online.metrics
