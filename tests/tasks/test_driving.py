"""Driving: a mirrored road is steered the other way, and errors are those of hand calculation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dlcore.data.sets import drives
from dlcore.errors import UsageError
from dlcore.export import answers
from dlcore.export.answers import Answered
from dlcore.samples import parts
from dlcore.tasks import driving, driving_samples
from dlcore.train.predictor import with_options
from dlcore.train.step import State
from tests.tasks.test_predictors import untrained


@pytest.mark.slow
def test_mirrored_frames_are_steered_the_other_way() -> None:
    rows = 40
    image = np.random.default_rng(0).integers(0, 255, (rows, 2, 4, 6, 3), np.uint8)
    target = np.linspace(-1, 1, rows, dtype=np.float32) + 0.01
    batch = {"image": jnp.asarray(image), "target": jnp.asarray(target),
             "previous": jnp.stack([target, target], 1), "row": jnp.arange(rows)}  # fmt: skip
    found = driving.augment(True, 0.0, 0.0)(batch, jax.random.key(1))
    turned = np.asarray(found["target"]) == -target
    assert 8 < turned.sum() < 32
    expected = np.where(turned[:, None, None, None, None], image[:, :, :, ::-1], image)
    np.testing.assert_allclose(found["image"], expected, atol=1e-3)
    np.testing.assert_array_equal(found["previous"][:, 0], found["target"])
    plain = driving.augment(False, 0.0, 0.0)(batch, jax.random.key(1))
    np.testing.assert_array_equal(plain["target"], target)


@pytest.mark.slow
def test_brightness_is_one_draw_for_all_frames_of_an_example() -> None:
    image = np.full((6, 3, 2, 2, 3), 100, np.uint8)
    zeros = jnp.zeros(6)
    batch = {"image": jnp.asarray(image), "target": zeros, "previous": zeros[:, None],
             "row": jnp.arange(6)}  # fmt: skip
    found = np.asarray(driving.augment(False, 0.5, 0.0)(batch, jax.random.key(0))["image"])
    per_example = found.reshape(6, -1)
    np.testing.assert_allclose(per_example, per_example[:, :1].repeat(36, 1), rtol=1e-5)
    assert np.ptp(per_example[:, 0]) > 20


def test_errors_worked_by_hand() -> None:
    collected = {
        "steering": np.array([0.0, 0.5, 1.0]),
        "target": np.array([0.0, 1.0, 1.0]),
        "previous": np.array([[9.0, 0.0], [9.0, 0.0], [9.0, 1.0]]),
    }
    found = driving.scores(collected, 0.5)
    assert found["mse"] == pytest.approx(0.25 / 3)
    assert found["mae"] == pytest.approx(0.5 / 3)
    assert found["zero_mse"] == pytest.approx(2 / 3)
    assert found["mean_mse"] == pytest.approx(0.25)
    assert found["last_mse"] == pytest.approx(1 / 3)
    assert (found["zero_mae"], found["mean_mae"]) == pytest.approx((2 / 3, 0.5))
    assert found["last_mae"] == pytest.approx(1 / 3)
    assert found.keys() == driving.METRICS.keys()
    assert found["correlation"] == pytest.approx(np.corrcoef([0, 0.5, 1], [0, 1, 1])[0, 1])


@pytest.mark.slow
def test_frames_are_answered_as_in_evaluation(tmp_path: Path) -> None:
    """So many files at a time as the policy has frames."""
    experiment, state = untrained("driving_udacity")
    model, source = experiment.models[0], experiment.splits.test
    params = jax.tree.map(lambda x: x + 0.01, state.params)  # the last layer begins at zero
    state = type(state)(state.step, params, state.extra, {})
    expected = driving.steering_of(model, state, source)
    assert np.ptp(expected["steering"]) > 0
    files = []
    frames = source.gather(np.array([0, 7]))["image"].reshape(-1, *drives.SHAPE)
    for number, frame in enumerate(frames):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(frame).save(files[-1])
    predictor: Any = experiment.predictor
    assert predictor.files_per_item == 2
    found = list(answers.answers(predictor, state, answers.inputs_of(files, 2)))
    assert all(isinstance(each, Answered) for each in found)
    steering = [each.answer["steering"] for each in found]  # type: ignore[union-attr]
    np.testing.assert_allclose(steering, expected["steering"][[0, 7]], atol=2e-6)
    assert predictor.line(found[0].answer).startswith("steering ")  # type: ignore[union-attr]
    marked = with_options(predictor, type(predictor.options)(saliency=True))
    (_, sample), = marked.batch(state, [source.gather(np.array([3]))["image"][0]])  # fmt: skip
    assert sample.images.shape == (1, *drives.SHAPE)
    with pytest.raises(UsageError, match="2 files at a time, and there are 3"):
        answers.inputs_of(files[:3], 2)
    for wrong, said in (
        (files[:1], "not 1"),
        (files[0], "not a PosixPath"),
        ([1, 2], "int is no"),
    ):
        with pytest.raises(UsageError, match=said):
            predictor.item(wrong)
    opened = [Image.open(file) for file in files[:2]]
    np.testing.assert_array_equal(predictor.item(opened), predictor.item(files[:2]))


@pytest.mark.slow
def test_saliency_is_of_the_newest_frame() -> None:
    weight = np.random.default_rng(0).uniform(0.5, 1, (2, 6, 8, 3)).astype(np.float32)

    def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        return (batch["image"] * weight[None]).sum((1, 2, 3, 4)), extra

    batch = {"image": np.zeros((1, 2, 6, 8, 3), np.uint8), "row": np.arange(1)}
    state: Any = State(np.zeros((), np.int32), {}, {}, {})
    found = driving.saliency_maps(model, state, batch)[0]  # type: ignore[arg-type]
    # the gradient is the weight of a pixel, whatever the noise
    np.testing.assert_allclose(found, np.linalg.norm(weight[-1], axis=-1), rtol=1e-4)


@pytest.mark.slow
def test_a_policy_that_knows_the_steering_before_is_given_it() -> None:
    experiment, state = untrained("driving_udacity", previous=True)
    model, source = experiment.models[0], experiment.splits.test
    params = jax.tree.map(lambda x: x + 0.01, state.params)
    state = type(state)(state.step, params, state.extra, {})
    expected = driving.steering_of(model, state, source)["steering"]
    row = source.gather(np.array([7]))
    predictor: Any = experiment.predictor
    usual = type(predictor.options)
    for previous, same in ((tuple(map(float, row["previous"][0])), True), ((3.0, -3.0), False)):
        known = with_options(predictor, usual(previous=previous))
        steering = known.batch(state, [row["image"][0]])[0][0]["steering"]
        assert (abs(steering - expected[7]) < 2e-6) == same
    with pytest.raises(UsageError, match="steering at 2 frames before, and 1 are given"):
        with_options(predictor, usual(previous=(0.1,))).batch(state, [row["image"][0]])
    with pytest.raises(UsageError, match="steering before one moment, and there are several"):
        known.batch(state, [row["image"][0], row["image"][0].copy()])


@pytest.mark.nightly
def test_samples_show_the_drive_beside_baselines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SERIES_VALUES", 5)
    experiment, state = untrained("driving_udacity")
    plot, table, directions, looks, worst = experiment.draw(state, jax.random.key(0))
    assert [series.name for series in plot.series] == ["person", "network"]  # type: ignore[attr-defined]
    assert {len(series.y) for series in plot.series} == {5}  # type: ignore[attr-defined]
    assert plot.x == f"frame, 5 of {len(experiment.splits.test)} shown"  # type: ignore[attr-defined]
    assert [row[0] for row in table.rows] == ["network", *driving.BASELINES.values()]  # type: ignore[attr-defined]
    assert len(looks.captions) == 12  # type: ignore[attr-defined]
    frames = sum(row[1] for row in directions.rows)  # type: ignore[attr-defined]
    assert frames == len(experiment.splits.test)
    found = driving.steering_of(experiment.models[0], state, experiment.splits.test)
    most = np.abs(found["steering"] - found["target"]).argmax()
    assert worst.captions[0] == (  # type: ignore[attr-defined]
        f"{found['steering'][most]:+.2f}, person {found['target'][most]:+.2f}"
    )


def test_errors_by_direction_are_those_of_their_frames() -> None:
    target = np.array([-0.5, -0.3, 0.0, 0.05, 0.4])
    found = {
        "steering": np.array([-0.4, -0.1, 0.1, 0.05, 0.0]),
        "target": target,
        "previous": np.stack([0 * target, target + 0.2], 1),
    }
    rows = {row[0]: row[1:] for row in driving_samples.by_direction("Test", found, 0.1).rows}
    assert rows["left"] == pytest.approx((2, 0.15, 0.4, 0.5, 0.2))
    assert rows["straight on"] == pytest.approx((2, 0.05, 0.025, 0.075, 0.2))
    assert rows["right"] == pytest.approx((1, 0.4, 0.4, 0.3, 0.2))
    straight = {name: array[2:4] for name, array in found.items()}
    assert len(driving_samples.by_direction("Test", straight, 0.1).rows) == 1
