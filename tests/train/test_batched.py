"""What a classifier's predictions are shown as: worst mistakes in the right order, and confusions
counted by hand.
"""

from __future__ import annotations

import ast
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.sets.sentences import Sentences
from dlcore.data.source import arrays
from dlcore.runs import catalog
from dlcore.samples import Images, Plot, Table
from dlcore.tasks.class_probabilities import probabilities
from dlcore.tasks.classification import samples, text_samples
from dlcore.tasks.confusion import confusions, cross_validated
from dlcore.train.batched import over_source
from dlcore.train.step import State

NAMES = ("ant", "bee", "cow")
# Probabilities of six examples, and their classes: 1 and 4 are wrong, 4 the worse; 2 is a narrow
# right one.
P = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.5, 0.3, 0.2],
        [0.3, 0.4, 0.3],
        [0.1, 0.1, 0.8],
        [0.9, 0.04, 0.06],
        [0.2, 0.7, 0.1],
    ]
)
TRUE = np.array([0, 1, 1, 2, 2, 1], np.int32)
KEY = jax.random.key(0)
STATE = State(jnp.zeros(()), {"net": jnp.array(7.0)}, {}, {})


def source(p: np.ndarray = P, true: np.ndarray = TRUE) -> Any:
    """Examples whose image holds the logarithms of the probabilities, 7 too large; the state's
    parameter takes the 7 away.
    """
    image = np.float32(np.log(p) + 7).reshape(len(p), 1, -1, 1)
    return arrays("made", "1", "test", {"image": image, "label": true, "tokens": image})


def logits(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
    assert not train
    return batch["image"].reshape(len(batch["row"]), -1) - params["net"], extra


def test_probabilities_of_every_example_in_order_and_none_of_the_padding() -> None:
    for batch in (4, 6, 100):
        p, true = probabilities(logits, STATE, source(), batch)
        np.testing.assert_allclose(p, P, rtol=1e-5)
        np.testing.assert_array_equal(true, TRUE)


def test_images_mistakes_and_the_matrix() -> None:
    data = arrays(
        "made",
        "1",
        "test",
        {"image": np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1), "label": TRUE, "p": P},
    )

    def looked_up(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        return jnp.log(jnp.asarray(batch["p"], jnp.float32)), extra

    draw = samples("Test", looked_up, data, NAMES, count=3)
    first, worst, table, matrix, reliable = draw(STATE, KEY)
    assert isinstance(first, Images)
    assert (first.title, first.captions, first.right) == (
        "Test",
        ("ant", "ant, is bee", "bee"),
        (True, False, True),
    )
    assert first.images.ravel().tolist() == [0, 1, 2]
    assert isinstance(worst, Images)
    found = worst.images.ravel().tolist()
    assert found == [4, 1], "the smallest probability of the true class first"
    assert worst.captions == ("ant 90%, is cow 6%", "ant 50%, is bee 30%")
    assert worst.right == (False, False)
    assert isinstance(table, Table)
    assert table.header == ("class", "precision", "recall", "F1", "examples")
    assert table.rows == (
        ("ant", 0.333, 1.0, 0.5, 1),
        ("cow", 1.0, 0.5, 0.667, 2),
        ("bee", 1.0, 0.667, 0.8, 3),
    )
    assert isinstance(matrix, Table)
    assert matrix.title == "Test: confusion matrix"
    assert matrix.header == ("true \\ predicted", *NAMES)
    assert matrix.rows == (("ant", 1, 0, 0), ("bee", 1, 2, 0), ("cow", 1, 0, 1))
    assert isinstance(reliable, Plot)
    assert reliable.title == "Test: reliability"
    np.testing.assert_allclose(reliable.series[1].x, [0.4, 0.5, 0.7, 0.8, 0.9], rtol=1e-6)
    assert reliable.series[1].y.tolist() == [1, 0, 1, 1, 0]


def test_no_mistakes_no_images_of_them() -> None:
    right = P.argmax(1).astype(np.int32)
    first, _, matrix, _ = samples("Test", logits, source(true=right), ("0", "1", "2"))(STATE, KEY)
    assert isinstance(first, Images)
    assert first.captions == ("0", "0", "1", "2", "0", "1")
    assert isinstance(matrix, Table)
    assert matrix.rows == (("0", 3, 0, 0), ("1", 0, 2, 0), ("2", 0, 0, 1))


def test_texts_mistakes_and_the_matrix() -> None:
    said = [f"text {i}" for i in range(6)]
    sentences = Sentences(source().arrays, source().info, tuple(said))
    first, worst, matrix = text_samples("Test", logits, sentences, NAMES, count=2)(STATE, KEY)
    assert first.rows == (("text 0", "ant", 0.8, "ant", 0.8), ("text 1", "ant", 0.5, "bee", 0.3))
    assert [row[0] for row in worst.rows] == ["text 4", "text 1"]
    assert worst.rows[0] == ("text 4", "ant", 0.9, "cow", 0.06)
    assert matrix.rows[1] == ("bee", 1, 2, 0)


def test_of_the_mistakes_the_twenty_worst_are_shown() -> None:
    p = np.stack([1 - np.linspace(0.01, 0.4, 30), np.linspace(0.01, 0.4, 30)], 1)
    images = samples("Test", logits, source(p, np.ones(30, np.int32)), ("no", "yes"))(STATE, KEY)[1]
    assert isinstance(images, Images)
    assert len(images.images) == 20
    assert images.captions[0] == "no 99%, is yes 1%"


def test_of_many_classes_the_pairs_that_are_confused_most_often() -> None:
    names = [f"class {i}" for i in range(30)]
    true = np.array([0, 0, 0, 5, 5, 29, 7])
    guess = np.array([1, 1, 0, 6, 5, 28, 7])
    table = confusions("Test", true, guess, names, most=2)
    assert table.title == "Test: the most frequent confusions"
    assert table.rows == (("class 0", "class 1", 2, 3), ("class 5", "class 6", 1, 2))
    assert len(confusions("Test", true, guess, names).rows) == 3, "no row for what never happened"
    assert confusions("Test", true, guess, names[:20] + names[:10]).header[0] == "true"


@pytest.mark.parametrize("classes", [20, 21])
def test_up_to_twenty_classes_are_a_matrix(classes: int) -> None:
    table = confusions(
        "Test", np.arange(classes), np.arange(classes), list(map(str, range(classes)))
    )
    assert (len(table.rows) == classes) == (classes == 20)


def test_a_cross_validated_classifier_of_two_classes() -> None:
    # [repeats, examples]
    p = np.array([[0.9, 0.2, 0.7, 0.5], [0.8, 0.6, 0.9, 0.4], [0.7, 0.4, 0.8, 0.3]])
    matrix, worst = cross_validated(
        "Tumours", p, np.array([1, 0, 0, 1], np.float32), ("benign", "malignant")
    )
    assert matrix.rows == (("benign", 2, 4), ("malignant", 3, 3))
    assert worst.rows == (
        (2, "benign", 1.0, 0.8),
        (3, "malignant", 1.0, 0.4),
        (1, "benign", 0.333, 0.4),
    )
    assert len(cross_validated("Tumours", p[:, :1], np.array([1]), ("benign", "malignant"))) == 1


@pytest.mark.parametrize("name", catalog.names())
def test_every_classifier_shows_its_confusions(name: str) -> None:
    tree = ast.parse(catalog.find(name).read_text(encoding="utf-8"))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    if "classification.loss" in called or name == "mlp_breast_cancer":
        shown = {
            "classification.samples",
            "classification.text_samples",
            "cross_validation.classification_samples",
            "text_scores.samples",
        }
        assert called & shown, "its samples have no confusion matrix and no worst mistakes"


@pytest.mark.quick
@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_all_examples_of_a_source_in_order_and_none_twice(batch: int) -> None:
    source = arrays("some", "1", "test", {"x": np.arange(7) ** 2})
    sizes = []

    def of_batch(rows: Any) -> Any:
        sizes.append(len(rows["x"]))
        return {"root": jnp.sqrt(rows["x"]), "row": rows["row"]}

    found = over_source(of_batch, source, batch)
    np.testing.assert_allclose(found["root"], np.arange(7))
    np.testing.assert_array_equal(found["row"], np.arange(7))
    assert {*sizes} == {batch}
