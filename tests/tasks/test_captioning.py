"""Captioning: scores by hand, the nearest picture, and captions of own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dlcore.data.sets.captions import END, UNKNOWN, text
from dlcore.errors import UsageError
from dlcore.models.captioning import Captioner, Size
from dlcore.tasks import caption_scores, captioning
from dlcore.tasks.captioning_predictor import CaptionOptions
from dlcore.tasks.image_inputs import to_signed
from dlcore.train.predictor import with_options
from tests.child import built
from tests.models.compiled import init
from tests.tasks.test_predictors import untrained


def test_scores_of_right_and_wrong_captions() -> None:
    references = ["a small red circle", "a large blue cross", "a cat"]
    right = caption_scores.scores(references, references)
    assert right == {"bleu": pytest.approx(100), "cider": pytest.approx(25 / 3), "exact_match": 1.0}
    one_wrong = caption_scores.scores([*references[:2], "a dog"], references, "_greedy")
    assert one_wrong["exact_match_greedy"] == pytest.approx(2 / 3)
    assert one_wrong["bleu_greedy"] < 100


def test_scores_by_length_are_those_of_their_pictures() -> None:
    references = ["a cat", "a dog", "a large blue cross"]
    captions = ["a cat", "a cow", "a large blue cross"]
    two, four = caption_scores.by_length("Test", captions, references).rows
    assert (two[:2], two[3]) == (("2", 2), 0.5)
    assert four == ("4", 1, 100.0, 1.0)


def test_the_nearest_picture_is_found_in_any_order() -> None:
    known = np.random.default_rng(0).integers(0, 256, (9, 24, 24, 3), np.uint8)
    order = np.array([3, 0, 8])
    noisy = np.clip(known[order].astype(int) + 3, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(caption_scores.nearest(known, noisy), order)


def test_light_falls_where_the_weight_is() -> None:
    weight = np.zeros(9)
    weight[2] = 1  # the upper right of 3 x 3
    shown = captioning.lit(np.full((30, 30, 3), 200, np.uint8), weight)
    assert shown[2, 27].min() > 190
    assert shown[27, 2].max() < 40
    # a weight that is all but the largest is as light
    nearly = captioning.lit(np.full((2, 2, 3), 200, np.uint8), np.array([1, 1, 1, 254.7 / 255]))
    assert (nearly == 200).all()


@pytest.mark.nightly
def test_probabilities_are_those_of_the_loss() -> None:
    """The sum of log-probabilities that a search gives is that of its caption under the network."""
    experiment, state = untrained("captioning_emoji")
    predictor: Any = experiment.predictor
    images = jnp.asarray(experiment.splits.test.arrays["image"][:3])
    search = jax.jit(predictor.describer.search, static_argnums=2)
    tokens, total, weights = search(state.params, images, 2)
    (model,) = experiment.models
    before = np.concatenate([np.ones((3, 1), np.int32), tokens[:, :-1]], 1)
    logits = jax.jit(model.on)(state.params, {}, to_signed(images), before)
    logp = np.asarray(jax.nn.log_softmax(logits))
    for i in range(3):
        ends = np.flatnonzero(tokens[i] == END)
        count = (ends[0] + 1) if len(ends) else len(tokens[i])
        expected = sum(logp[i, t, tokens[i, t]] for t in range(count))
        assert float(total[i]) == pytest.approx(float(expected), abs=1e-3)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


@pytest.mark.nightly
def test_own_pictures_are_captioned_alike_in_any_company(tmp_path: Path) -> None:
    experiment, state = untrained("captioning_emoji")
    predictor: Any = experiment.predictor
    images = np.asarray(experiment.splits.test.arrays["image"][:2])
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    items = predictor.items([tmp_path / "0.png", tmp_path / "1.png"], [])
    np.testing.assert_array_equal(np.stack(items), images)
    together, alone = predictor.batch(state, items), predictor.batch(state, items[:1])
    assert together[0][0]["caption"] == alone[0][0]["caption"]
    assert 0 < alone[0][0]["probability"] <= 1
    clear = Image.fromarray(np.zeros((*images.shape[1:3], 4), np.uint8))
    clear.save(tmp_path / "clear.png")
    white = np.full_like(images[0], 255)
    np.testing.assert_array_equal(predictor.items([tmp_path / "clear.png"], [])[0], white)
    np.testing.assert_array_equal(predictor.item(clear), white)
    greedy = with_options(predictor, CaptionOptions(beams=1)).batch(state, items)
    search = jax.jit(predictor.describer.search, static_argnums=2)
    tokens = search(state.params, jnp.asarray(images), 1)[0]
    vocabulary = experiment.splits.facts.vocabulary
    assert [answer["caption"] for answer, _ in greedy] == [text(t, vocabulary) for t in tokens]
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(UsageError, match="cannot be read as an image"):
        predictor.items([tmp_path / "bad.png"], [])
    with pytest.raises(UsageError, match="an image here is uint8"):
        predictor.item(np.zeros((3, 3, 3), np.float32))


@pytest.mark.slow
def test_samples_mark_right_captions_and_draw_attention_by_word() -> None:
    experiment, state = untrained("captioning_emoji")
    pictures, table, reliable, *details = experiment.draw(state, jax.random.key(0))
    scored = sum(row[1] for row in table.rows)
    assert scored == min(240, len(experiment.splits.test))
    assert len(pictures.images) == len(pictures.captions) == len(pictures.right) == 30
    assert reliable.title == "Test pictures: reliability"
    assert 0 <= reliable.series[1].x.min() <= reliable.series[1].x.max() <= 1
    assert len(details) == 6
    assert all(len(each.words) == len(each.weights) for each in details)


def test_the_width_is_divided_among_the_heads() -> None:
    with pytest.raises(UsageError, match="--width 16 is no multiple of --heads 3"):
        built("captioning_emoji", decoder="transformer", heads=3)
    built("captioning_emoji", heads=3)  # a GRU has one


@pytest.mark.slow
def test_the_unknown_word_of_training_is_never_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    size = Size(6, 4, 8)
    image, tokens = np.zeros((1, 16, 16, 3), np.uint8), np.ones((1, 4), np.int32)
    params = init(Captioner(size), jax.random.key(0), to_signed(image), tokens)
    logits = jnp.array([-9.0, -9, 0, 2, -9, 1])  # the unknown word is the most probable

    def step(tokens: Any, state: Any, position: Any) -> Any:
        return jnp.broadcast_to(logits, (*tokens.shape, 6)), state

    monkeypatch.setattr(captioning, "begin", lambda *_: (step, jnp.zeros((1, 1))))

    def found(**options: Any) -> tuple[list[int], float]:
        describer = captioning.Describer(size, "abcdef", penalty=0.0, **options)
        tokens, total, _ = describer.search({"net": params["params"]}, image, 1)
        return tokens[0].tolist(), float(total[0])

    assert found()[0] == [UNKNOWN] * 4
    assert found() == found(rarest=1)
    words, total = found(rarest=2)
    assert words == [5] * 4
    assert total == pytest.approx(4 * np.log(np.e / (1 + np.e)), abs=1e-3)
    predictor: Any = built("captioning_emoji", rarest=2).predictor
    assert predictor.describer.rarest == 2
