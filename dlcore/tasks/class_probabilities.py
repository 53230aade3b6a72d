"""Class probabilities of a batch, or of all examples of a source."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Integer

from dlcore.data.source import Source
from dlcore.train.batched import over_source
from dlcore.train.model import Logits
from dlcore.train.step import Extra, Params, State


def probabilities(
    logits: Logits, state: State, source: Source, batch: int = 250
) -> tuple[Float[np.ndarray, "n classes"], Integer[np.ndarray, " n"]]:
    """Computes the class probabilities of all examples of a source, in order.

    Args:
        logits: a model that computes logits [batch, classes].
        state: trained parameters.
        source: its examples have a `label`.
        batch: examples per batch.

    Returns:
        Softmax of the logits, float32 [N, classes], and true labels [N].
    """
    softmax = softmax_of(logits)

    def of_batch(rows: Mapping[str, np.ndarray]) -> Mapping[str, Array | np.ndarray]:
        return {"p": softmax(state.params, state.extra, rows), "label": rows["label"]}

    found = over_source(of_batch, source, min(batch, len(source)))
    return found["p"], found["label"]


# Cached, since several seeds of one program call it one after the other with arrays of one shape;
# of two models, since a calibrated one is shown beside the one it was made of.
@functools.lru_cache(maxsize=2)
def softmax_of(logits: Logits) -> Callable[[Params, Extra, Mapping[str, np.ndarray]], Array]:
    """Returns the compiled (params, extra, batch) -> probabilities, float32 [batch, classes]."""
    return jax.jit(
        lambda params, extra, batch: jax.nn.softmax(
            logits(params, extra, batch, None, False)[0].astype(jnp.float32)
        )
    )
