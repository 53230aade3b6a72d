"""One network for any style: the losses of each example's own style, and own pictures as styles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dlcore.cli import main as cli
from dlcore.errors import UsageError
from dlcore.kernels.style import gram
from dlcore.models.style import STYLE
from dlcore.tasks import style_transfer
from dlcore.tasks.style_predictor import AnyStyleOptions
from dlcore.train.predictor import with_options
from tests.child import card
from tests.tasks.test_predictors import untrained


@pytest.mark.nightly
def test_the_style_loss_is_that_of_each_example_s_own_style() -> None:
    experiment, state = untrained("style_transfer", network="adain")
    _, vgg, grams = experiment.models
    perceptual = style_transfer.Perceptual(vgg, grams, 3.0)
    made, photograph, style = jax.random.uniform(jax.random.key(0), (3, 2, 16, 16, 3))
    found = perceptual(state.params, {}, made, photograph, style)
    for row in (0, 1):  # as a network of one style, whose Gram matrices are those of the row
        features = vgg.on(state.params, {}, style[row : row + 1])
        own = {**state.params, "grams": {layer: gram(features[layer])[0] for layer in STYLE}}
        alone = perceptual(own, {}, made[row : row + 1], photograph[row : row + 1])
        for name in found:
            assert float(found[name][row]) == pytest.approx(float(alone[name][0]), rel=1e-5)
    np.testing.assert_allclose(
        perceptual(state.params, {}, style, photograph, style)["style"], 0, atol=1e-6
    )


@pytest.mark.slow
def test_a_picture_gives_the_style_and_strength_mixes_features(tmp_path: Path) -> None:
    experiment, state = untrained("style_transfer", network="adain")
    predictor: Any = experiment.predictor
    photograph, first, second = np.random.default_rng(0).integers(0, 256, (3, 21, 30, 3), np.uint8)
    second = second // 4
    for name, pixels in (("a.png", first), ("b.png", second)):
        Image.fromarray(pixels).save(tmp_path / name)

    def painted(name: str, strength: float) -> np.ndarray:
        options = AnyStyleOptions(style=str(tmp_path / name), strength=strength)
        answer, sample = with_options(predictor, options).batch(state, [photograph])[0]
        assert answer == {"style": name, "strength": strength, "width": 30, "height": 21}
        return sample.images[0].astype(float)

    assert abs(painted("a.png", 1.0) - painted("b.png", 1.0)).max() > 0
    np.testing.assert_array_equal(painted("a.png", 0.0), painted("b.png", 0.0))
    with pytest.raises(UsageError, match="name a picture that has it by --style"):
        predictor.batch(state, [photograph])
    (tmp_path / "no.png").write_text("nothing")
    with pytest.raises(UsageError, match=r"no.png cannot be read as an image"):
        painted("no.png", 1.0)
    pixels = jnp.asarray(photograph[None, :16, :16] / 255, jnp.float32)
    network = predictor.network
    same = network.paint(state.params, {}, pixels, pixels)  # its own style changes nothing
    decoded = network.paint(state.params, {}, pixels, pixels, 0.0)
    np.testing.assert_allclose(same, decoded, atol=1e-3)


@pytest.mark.nightly
def test_a_run_is_measured_on_the_unseen_style_and_paints_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    words = ["train", "style_transfer", "--preset", "tiny", "--network", "adain", "--offline"]
    assert cli.main([*words, "--out", "run"]) == 0
    assert card(Path("run"))["results"]["test"]["loss_over_optimised"] > 0
    for name, shape in (("photo.jpg", (30, 41, 3)), ("painting.jpg", (50, 20, 3))):
        pixels = np.random.default_rng(len(name)).integers(0, 256, shape, np.uint8)
        Image.fromarray(pixels).save(name)
    options = ["--style", "painting.jpg", "--out", "styled.png"]
    assert cli.main(["predict", "run", "photo.jpg", *options]) == 0
    with Image.open("styled.png") as image:
        assert image.size == (41, 30)
    assert cli.main(["predict", "run", "photo.jpg", "--out", "other.png"]) != 0
