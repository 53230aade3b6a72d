"""What models answer to texts, prompts and counts, on networks that were not trained."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from dlcore import sharding
from dlcore.errors import UsageError
from dlcore.export import answers
from dlcore.export.answers import Answered, Input
from dlcore.tasks.class_probabilities import probabilities
from dlcore.tasks.continuation import PromptOptions
from dlcore.train.experiment import Experiment
from dlcore.train.init import initial
from dlcore.train.predictor import readable, with_options
from dlcore.train.step import State
from tests.child import built

pytestmark = pytest.mark.slow


@functools.cache
def untrained(name: str, **changes: Any) -> tuple[Experiment, State]:
    experiment = built(name, **changes)
    layout = sharding.layout("jit", "", jax.devices()[:1])
    batch = {
        key: np.zeros(x.shape, x.dtype)
        for key, x in experiment.splits.template(experiment.batch).items()
    }
    return experiment, initial(experiment, 0, layout, layout.put(batch, experiment.batch))[1]()


def answered(name: str, *texts: str, **options: Any) -> list[Any]:
    """The answers to lines of text, and the messages of those that are refused."""
    experiment, state = untrained(name)
    predictor: Any = experiment.predictor
    if options:
        predictor = with_options(predictor, type(predictor.options)(**options))
    inputs = [Input(f"t{i}", {}, text=text) for i, text in enumerate(texts)]
    found = answers.answers(predictor, state, inputs)
    return [each.answer if isinstance(each, Answered) else each.error for each in found]


def test_texts_are_classified_as_in_evaluation() -> None:
    experiment, state = untrained("bert_polarity")
    test: Any = experiment.splits.test
    predictor: Any = experiment.predictor
    expected, _ = probabilities(predictor.model, state, test)
    texts = test.texts[:70]  # more than a batch, some longer than a row
    found = answered("bert_polarity", *texts)
    assert [each["text"] for each in found] == list(texts)
    for each, p in zip(found, expected, strict=False):
        names = each["classes"]
        assert [names[name] for name in experiment.splits.facts.classes] == pytest.approx(
            p, abs=2e-6
        )
        assert each["class"] == max(names, key=lambda name: names[name])
    first, second = found[0]["classes"].items()
    line = f"{first[0]} {first[1]:.1%} ({second[0]} {second[1]:.1%})"
    left_out = found[0]["tokens_left_out"]
    assert readable(predictor, found[0]) == f"{line}  (the last {left_out} tokens were left out)"


def test_prompts_are_continued_alike_in_any_company() -> None:
    alone = answered("gpt_tiny_shakespeare", "To be", tokens=30)
    several = answered("gpt_tiny_shakespeare", "thing", "To be", "thing", tokens=30)
    assert several[1] == alone[0]
    assert several[0] == several[2] != several[1]
    assert len(alone[0]["text"]) == 30
    other = answered("gpt_tiny_shakespeare", "To be", tokens=30, seed=1)
    assert other[0]["text"] != alone[0]["text"]


def test_at_temperature_0_and_of_one_token_the_likeliest_is_taken() -> None:
    greedy = answered("gpt_tiny_shakespeare", "To", tokens=5, temperature=0.0)
    assert answered("gpt_tiny_shakespeare", "To", tokens=5, temperature=5.0, top_k=1) == greedy
    assert answered("gpt_tiny_shakespeare", "To", tokens=5, temperature=0.0, seed=1) == greedy


def test_proposed_tokens_change_no_greedy_text() -> None:
    greedy = answered("gpt_tiny_shakespeare", "To", tokens=5, temperature=0.0)
    assert answered("gpt_tiny_shakespeare", "To", tokens=5, temperature=0.0, draft=2) == greedy
    with pytest.raises(UsageError, match="leave out --draft"):
        answered("rnn_tiny_shakespeare", "To", tokens=5, draft=2)


def test_a_prompt_that_cannot_be_read_is_refused_with_its_place() -> None:
    unknown, long, fits = answered("gpt_tiny_shakespeare", "To ☃ be", "a" * 16, "a" * 15, tokens=2)
    assert unknown.startswith("character '☃' at position 3 ")
    assert long == "a prompt of 16 tokens, and this model takes 1 to 15: shorten it"
    assert fits["prompt"] == "a" * 15


def test_a_recurrent_network_continues_prompts_of_any_length() -> None:
    found = answered("rnn_tiny_shakespeare", "a" * 40, tokens=5, top_p=0.5)
    assert len(found[0]["text"]) == 5


def test_the_options_of_prompts_have_bounds() -> None:
    from dlcore import bounds

    for options in (
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"temperature": -1.0},
        {"tokens": 0},
        {"draft": -1},
    ):
        with pytest.raises(UsageError):
            bounds.check(PromptOptions(**options))  # type: ignore[arg-type]


def test_a_vae_draws_from_its_prior_and_at_temperature_0_its_mean() -> None:
    experiment, state = untrained("vae_mnist")
    predictor: Any = experiment.predictor
    images = np.stack([sample.images for _, sample in predictor.generated(state, 3)])
    assert images.shape == (3, 1, 28, 28)
    assert not np.allclose(images[0], images[1])
    assert (images >= 0).all()
    assert (images <= 1).all()
    mean = with_options(predictor, type(predictor.options)(temperature=0.0)).generated(state, 2)
    np.testing.assert_array_equal(mean[0][1].images, mean[1][1].images)


@pytest.mark.parametrize(
    "name",
    [
        "autoencoder_mnist",
        "autoencoder_sparse",
        pytest.param("autoencoder_denoise", marks=pytest.mark.slow),
    ],
)
def test_an_image_is_reconstructed_by_the_network(name: str, tmp_path: Path) -> None:
    experiment, state = untrained(name)
    predictor: Any = experiment.predictor
    image = experiment.splits.test.arrays["image"][0]
    Image.fromarray(image[..., 0]).save(tmp_path / "a.png")
    items = predictor.items([tmp_path / "a.png"], [])
    np.testing.assert_array_equal(items[0], image)
    ((answer, sample),) = predictor.batch(state, items)
    made = sample.images[0]
    assert made.shape == image.shape
    difference = np.sqrt(((made - image.astype(np.float32) / 255) ** 2).mean())
    assert answer == {"root_mean_squared_difference": pytest.approx(difference, rel=1e-5)}
