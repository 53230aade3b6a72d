"""A trained model over many examples: predictions to look at, features to measure with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from dlcore.data.source import Source
from dlcore.data.stream import in_order
from dlcore.report.samples import Images, Table
from dlcore.train.losses import Logits
from dlcore.train.step import State


def predicted(title: str, logits: Logits, state: State, source: Source, names: Sequence[str] = (), count: int = 40) -> Images:
    """The first `count` images of a source, each with its predicted class, and the true one where that differs."""
    batch = next(in_order(source, count, np.arange(count)))
    guess = np.asarray(_class(logits)(state.params, state.extra, batch)).tolist()
    seen = [(g, t) for g, t, counts in zip(guess, batch["label"].tolist(), batch["mask"], strict=True) if counts]
    called = [(names[g], names[t]) if names else (str(g), str(t)) for g, t in seen]
    captions = tuple(g if g == t else f"{g}, is {t}" for g, t in called)
    return Images(title, batch["image"][: len(seen)], captions, tuple(g == t for g, t in seen))


@functools.lru_cache(maxsize=1)  # runs of several seeds ask one after the other, and are of one shape
def _class(logits: Logits) -> Callable[..., Any]:
    return jax.jit(lambda params, extra, batch: logits(params, extra, batch, None, False)[0].argmax(-1))


def texts(
    title: str, logits: Logits, state: State, source: Source, said: Sequence[str], names: Sequence[str], count: int = 40
) -> Table:
    """The first `count` examples of a source, whose texts are `said`: the predicted class, its probability, and the true class."""
    batch = next(in_order(source, count, np.arange(count)))
    run = jax.jit(lambda params, extra, batch: jax.nn.softmax(logits(params, extra, batch, None, False)[0]))
    p, true = np.asarray(run(state.params, state.extra, batch)), batch["label"]
    kept = range(min(count, len(source)))
    rows = tuple((said[i], names[p[i].argmax()], round(float(p[i].max()), 3), names[true[i]]) for i in kept)
    return Table(title, ("text", "predicted", "probability", "true"), rows)


def over(f: Callable[..., Any], *inputs: np.ndarray, batch: int = 500) -> np.ndarray:
    """f(*inputs) on the host, a batch at a time through one compiled program; the last batch is padded and cut."""
    run, parts = jax.jit(f), []
    for start in range(0, len(inputs[0]), batch):
        rows = [each[start : start + batch] for each in inputs]
        short = batch - len(rows[0])
        full = [np.concatenate([part, np.repeat(part[:1], short, 0)]) if short else part for part in rows]
        parts.append(np.asarray(run(*full))[: len(rows[0])])
    return np.concatenate(parts)
