"""Video prediction: the baselines by hand, metrics by frame, and predictions of own GIFs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dlcore.data.facts import Facts
from dlcore.errors import UsageError
from dlcore.metrics.structural import ssim
from dlcore.samples import Animations
from dlcore.tasks import video_prediction, video_predictor
from dlcore.train.predictor import with_options
from dlcore.train.step import value
from tests.tasks.test_predictors import untrained

pytestmark = pytest.mark.slow


class Black:
    """A model that predicts black frames."""

    def __call__(self, params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        x = batch["video"]
        return jnp.zeros((len(x), 2, *x.shape[2:]), jnp.float32), extra


def test_the_errors_of_copying_and_of_black_by_hand() -> None:
    """Two given frames and two targets, of one brightness each; the second example is masked."""
    levels = np.array([[0, 51, 102, 153], [9, 9, 9, 9]], np.uint8)
    video = np.broadcast_to(levels[:, :, None, None, None], (2, 4, 3, 3, 1))
    batch = {"video": jnp.asarray(video), "mask": jnp.array([1.0, 0.0])}
    loss = video_prediction.loss(Black(), 2)  # type: ignore[arg-type]
    out = loss({}, {}, batch, jax.random.key(0), False)
    black = 9 * np.mean([0.4**2, 0.6**2])
    copied = 9 * np.mean([0.2**2, 0.4**2])
    assert float(value(out.metrics["squared_error"])) == pytest.approx(black)
    assert float(value(out.metrics["squared_error_of_black"])) == pytest.approx(black)
    assert float(value(out.metrics["squared_error_of_copy_last"])) == pytest.approx(copied)
    assert float(value(out.metrics["error_over_copy_last"])) == pytest.approx(black / copied)
    assert float(value(out.loss)) == pytest.approx(black / 9)


def test_curves_by_frame_are_those_of_the_frames() -> None:
    random = np.random.default_rng(0)
    video = random.integers(0, 256, (3, 5, 8, 8, 1), np.uint8)
    predicted = random.integers(0, 256, (3, 2, 8, 8, 1), np.uint8)
    network, copied = video_prediction.by_frame(predicted, video, 3)
    a, b = predicted[:, 1] / 255, video[:, 4] / 255
    error = ((a - b) ** 2).reshape(3, -1)
    assert network["squared_error"][1] == pytest.approx(error.sum(1).mean(), rel=1e-5)
    assert network["psnr"][1] == pytest.approx(-10 * np.log10(error.mean(1)).mean(), rel=1e-4)
    assert network["ssim"][1] == pytest.approx(ssim(a, b).mean(), abs=1e-6)
    last = ((video[:, 2] / 255 - b) ** 2).reshape(3, -1).sum(1).mean()
    assert copied["squared_error"][1] == pytest.approx(last, rel=1e-5)


def test_an_untrained_network_predicts_the_last_frame_of_a_gif(tmp_path: Path) -> None:
    """Its errors are those of copying, and the last frames are read unless --start says others."""
    experiment, state = untrained("video_moving_mnist")
    predictor: Any = experiment.predictor
    video = experiment.splits.test.gather(np.array([0]))["video"][0].copy()
    video[:, 0, 0, 0] = 10 * np.arange(8)  # Pillow joins equal frames
    first, *rest = [Image.fromarray(frame[..., 0]) for frame in video]
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest)
    ((answer, sample),) = predictor.batch(state, predictor.items([tmp_path / "a.gif"], []))
    assert answer == {"first_frame": 4, "frames_read": 4, "frames_predicted": 4}
    np.testing.assert_array_equal(sample.clips[0][4:], np.repeat(video[-1:], 4, 0))
    early = with_options(predictor, video_predictor.VideoOptions(start=0))
    ((answer, sample),) = early.batch(state, early.items([tmp_path / "a.gif"], []))
    assert answer["squared_error"] == pytest.approx(answer["squared_error_of_copy_last"])
    expected = ((video[3:4] / 255.0 - video[4:] / 255.0) ** 2).sum((1, 2, 3)).mean()
    assert answer["squared_error"] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(UsageError, match="has 8 frames, and 4 are read from frame 6"):
        with_options(predictor, video_predictor.VideoOptions(start=6)).items(
            [tmp_path / "a.gif"], []
        )
    bad = tmp_path / "bad.gif"
    bad.write_text("no picture")
    with pytest.raises(UsageError, match="cannot be read as a video"):
        predictor.items([bad], [])


def test_samples_show_animations_and_curves() -> None:
    experiment, state = untrained("video_moving_mnist")
    best, worst, *plots = experiment.draw(state, jax.random.key(0))
    errors = []
    for animations in (best, worst):
        assert isinstance(animations, Animations)
        assert [len(clip) for clip in animations.clips] == [8] * 6
        true, made = (clip[4:].astype(float) / 255 for clip in animations.clips[:2])
        errors.append(((true - made) ** 2).sum((1, 2, 3)).mean())
        assert animations.captions[1] == f"predicted, error {errors[-1]:.1f}"
    assert errors[0] < errors[1]
    assert len(plots) == 3


def test_all_frames_of_a_video_are_mirrored_alike() -> None:
    assert video_prediction.augment(False) is None
    video = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 5, 1), np.uint8)
    batch = {"video": jnp.asarray(video), "row": jnp.arange(20)}
    augment = video_prediction.augment(True)
    assert augment is not None
    found = np.asarray(augment(batch, jax.random.key(0))["video"])
    mirrored = (found == video[:, :, :, ::-1]).all((1, 2, 3, 4))
    assert 3 < mirrored.sum() < 17
    np.testing.assert_array_equal(found[~mirrored], video[~mirrored])


def test_a_video_that_is_an_array_has_one_channel_or_three() -> None:
    facts = Facts(frames_in=2, fields={"video": {"shape": [4, 8, 8, 3], "dtype": "uint8"}})
    made = video_predictor.predictor(Black(), facts)  # type: ignore[arg-type]
    grey = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
    np.testing.assert_array_equal(made.item(grey)[0], np.repeat(grey, 3, 3))
    with pytest.raises(UsageError, match=r"no uint8 \[frames, h, w, 1 or 3\] of 8 x 8 pixels"):
        made.item(np.zeros((4, 8, 8, 2), np.uint8))
