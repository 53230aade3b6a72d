"""Style transfer: relative losses at known pictures, frozen parts, and painted photographs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dlcore.cli import main as cli
from dlcore.errors import UsageError
from dlcore.kernels.style import gram
from dlcore.models.style import STYLE, VGG
from dlcore.tasks import style_comparison, style_predictor, style_transfer
from dlcore.train import weights
from dlcore.train.predictor import with_options
from tests.child import card
from tests.models.compiled import apply
from tests.tasks.test_predictors import untrained


@pytest.mark.nightly
def test_the_photograph_has_no_content_loss_and_the_style_no_style_loss() -> None:
    experiment, state = untrained("style_transfer")
    _, vgg, grams = experiment.models
    perceptual = jax.jit(style_transfer.Perceptual(vgg, grams, 3.0))
    image = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
    found = perceptual(state.params, {}, image, image)
    np.testing.assert_allclose(found["content"], 0, atol=1e-6)
    np.testing.assert_allclose(found["total"], found["content"] + 3 * found["style"], rtol=1e-6)
    # the Gram matrices of the first picture as the style
    features = jax.jit(vgg.on)(state.params, {}, image[:1])
    own = {**state.params, "grams": {layer: gram(features[layer])[0] for layer in STYLE}}
    style = perceptual(own, {}, image, image)["style"]
    assert float(style[0]) == pytest.approx(0, abs=1e-6)
    assert float(style[1]) > 1e-3
    # black features: the whole of the style is missing
    nothing = {**own, "vgg": jax.tree.map(jnp.zeros_like, own["vgg"])}
    np.testing.assert_allclose(perceptual(nothing, {}, image, image)["style"], 1, rtol=1e-5)


@pytest.mark.slow
def test_the_frozen_parts_are_loaded_and_measured_on_the_style() -> None:
    experiment, state = untrained("style_transfer")
    facts = experiment.splits.facts
    loaded = weights.load(Path(facts.features))["params"]["vgg"]
    jax.tree.map(np.testing.assert_array_equal, state.params["vgg"], loaded)
    from dlcore.data.sets import photographs

    style = style_transfer.padded(style_transfer.shrunk(photographs.waves(), 32))
    found = apply(VGG(4), {"params": loaded}, style[None].astype(np.float32) / 255)
    for layer in STYLE:
        np.testing.assert_allclose(
            state.params["grams"][layer], gram(found[layer])[0], rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("shape", [(5, 40), (16, 16), (33, 17), (100, 3)])
def test_padding_keeps_the_picture_and_gives_multiples_of_eight(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    found = style_transfer.padded(image)
    assert all(n % 8 == 0 and n >= 16 for n in found.shape[:2])
    np.testing.assert_array_equal(found[: shape[0], : shape[1]], image)


@pytest.mark.parametrize("count", [2, 4, 7])
def test_few_photographs_are_optimised_in_order(count: int) -> None:
    """The published ones are 2; one's own may be thousands."""
    image = np.zeros((16, 16, 3), np.uint8)
    names = [f"{9 - i}.png" for i in range(count)]
    splits: Any = SimpleNamespace(test=SimpleNamespace(whole=dict.fromkeys(names, image)))
    unused: Any = None
    compared = style_comparison.Comparison(unused, unused, splits, 16, 3)
    assert [*compared.photographs()] == names[:4]


@pytest.mark.slow
def test_a_photograph_is_painted_at_its_own_size_and_strength_mixes() -> None:
    experiment, state = untrained("style_transfer")
    moved = jax.tree.map(lambda p: p + 0.3, state.params["painter"])
    state = type(state)(state.step, {**state.params, "painter": moved}, state.extra, {})
    predictor: Any = experiment.predictor
    photograph = np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)
    made = {}
    for strength in (0.0, 0.5, 1.0):
        options = style_predictor.StyleOptions(strength=strength)
        answers = with_options(predictor, options).batch(state, [photograph] * 2)
        answer, sample = answers[0]
        assert (answer["width"], answer["height"]) == (50, 37)
        made[strength] = sample.images[0].astype(float)
    np.testing.assert_array_equal(made[0.0], photograph)
    assert abs(made[1.0] - photograph).max() > 20
    np.testing.assert_allclose(made[0.5], (made[0.0] + made[1.0]) / 2, atol=1)
    small = with_options(predictor, style_predictor.StyleOptions(longest=25))
    assert small.batch(state, [photograph])[0][0]["width"] == 25
    for wrong in (photograph[..., 0], photograph[:0]):
        with pytest.raises(UsageError, match="a photograph is uint8"):
            predictor.item(wrong)
    turned = Image.fromarray(photograph)
    turned.getexif()[0x0112] = 6
    np.testing.assert_array_equal(predictor.item(turned), np.rot90(photograph, -1))
    assert predictor.item(Image.new("L", (4, 2))).shape == (2, 4, 3)


@pytest.mark.nightly
def test_a_run_freezes_the_features_compares_and_predicts_into_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    words = ["train", "style_transfer", "--preset", "tiny", "--offline", "--out", "run"]
    assert cli.main(words) == 0
    record = card(Path("run"))
    test = record["results"]["test"]
    assert test["content_of_optimised"] > 0
    assert test["loss_over_photograph"] < 1
    assert min(test[f"seconds_{each}"] for each in ("of_network", "of_optimised")) > 0
    assert test["seconds_over_optimised"] > 0
    shown = "".join(each.read_text() for each in Path("run/samples").rglob("*.json"))
    assert all(f": {kind} loss" in shown for kind in ("content", "style", "total"))
    first, last = (record["params_sha256"][when] for when in ("start", "end"))
    if isinstance(first, dict):
        assert first["vgg"] == last["vgg"]
        assert first["grams"] == last["grams"]
    Image.fromarray(np.full((30, 41, 3), 90, np.uint8)).save("photo.jpg")
    options = ["--strength", "0.7", "--out", "styled.png"]
    assert cli.main(["predict", "run", "photo.jpg", *options]) == 0
    with Image.open("styled.png") as image:
        assert image.size == (41, 30)
    assert cli.main(["predict", "run", "photo.jpg", "--strength", "7", "--out", "b.png"]) == 2
