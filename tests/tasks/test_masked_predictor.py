"""Masked words of a user's texts: what is read, what is answered, and what is refused."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.sets.sentences import SPECIALS, plain
from dlcore.data.tokens import bpe
from dlcore.errors import UsageError
from dlcore.tasks.masked_predictor import MaskOptions, predictor
from dlcore.train.predictor import readable, with_options
from dlcore.train.step import State

TOKENS = bpe([" the cat sat on the mat ."] * 3, 272, SPECIALS)
STATE = State(jnp.zeros((), jnp.int32), {}, {}, {})
ORDINARY = len(TOKENS) - len(SPECIALS)
CAT, MAT = (int(TOKENS.encode(f" {word}")[0]) for word in ("cat", "mat"))


class After:
    """Gives "cat" 3/4 of the probability of ordinary tokens after "the", and "mat" elsewhere."""

    def on(self, params: Any, extra: Any, tokens: Any, positions: Any) -> Any:
        the = int(TOKENS.encode(" the")[0])
        before = jnp.roll(tokens, 1, 1) == the
        likely = jnp.where(before, CAT, MAT)[..., None]
        number = jnp.arange(len(TOKENS))[None, None]
        logits = jnp.where(number == likely, jnp.log(3.0 * (ORDINARY - 1)), 0.0)
        logits = jnp.where(number < len(SPECIALS), 9.0, logits)
        return jnp.take_along_axis(logits, positions[..., None], 1)


def test_each_mask_is_answered_in_the_users_text() -> None:
    model: Any = After()
    each = with_options(predictor(model, TOKENS, 24), MaskOptions(top=2))
    text = "The [MASK] sat on\tÉmile's [mask]."
    (item,) = each.items([], [text])
    mask, sep = TOKENS.special("[mask]"), TOKENS.special("[sep]")
    assert item.tokens[0] == sep
    assert (item.tokens == mask).sum() == 2
    assert "".join(item.segments) == "The  sat on\tÉmile's ."
    written = [t for t in item.tokens if t not in (mask, sep)]
    assert TOKENS.decode(np.array(written)) == plain("The sat on Émile's .")


def test_masks_are_filled_by_the_likeliest_tokens() -> None:
    model: Any = After()
    each = with_options(predictor(model, TOKENS, 24), MaskOptions(top=2))
    items = each.items([], ["The [mask] sat on the mat.", "On [mask], the [mask], [mask]!"])
    answers: Any = each.batch(STATE, items)
    (one, table), (two, _) = answers
    assert one["filled"] == "The cat sat on the mat."
    ((first, second),) = one["masks"]
    assert first == {"token": "cat", "probability": 0.75}
    assert second["probability"] == round(0.25 / (ORDINARY - 1), 6)
    assert table.rows[0] == (1, "cat", 0.75)
    assert two["filled"] == "On mat, the cat, mat!"
    assert [len(mask) for mask in two["masks"]] == [2, 2, 2]
    assert readable(each, one) == one["filled"]
    # alone as in a batch
    ((alone, _),) = each.batch(STATE, items[1:])
    assert alone == two


def test_texts_without_a_mask_or_too_long_are_refused() -> None:
    model: Any = After()
    each = predictor(model, TOKENS, 8)
    with pytest.raises(UsageError, match=r"there is no \[mask\] in 'a cat'"):
        each.items([], ["a cat"])
    with pytest.raises(UsageError, match="this model reads 8: shorten it"):
        each.items([], ["the cat sat on the mat . the [mask]"])
