"""The CTC loss alone, with its gradient: 32 sequences of 200 frames, 29 classes, 30 labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.2, "flax": 1.0}


class Size(NamedTuple):
    """Sizes: frames, labels, classes, sequences in a batch."""

    frames: int = 200
    labels: int = 30
    classes: int = 29
    batch: int = 32


FULL, TINY = Size(), Size(9, 3, 4, 4)


def lengths(size: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws numbers of frames [batch], labels [batch, labels], and numbers of labels [batch]."""
    rng = np.random.default_rng(1)
    frames = rng.integers(3 * size.frames // 4, size.frames + 1, size.batch).astype(np.int32)
    count = rng.integers(size.labels // 2, size.labels + 1, size.batch).astype(np.int32)
    return frames, rng.integers(1, size.classes, (size.batch, size.labels)).astype(np.int32), count


def given(size: Size) -> tuple[np.ndarray, ...]:
    """Draws logits [batch, frames, classes], and what `lengths` draws."""
    logits = np.random.default_rng(0).normal(size=(size.batch, size.frames, size.classes))
    return logits.astype(np.float32), *lengths(size)


def of_optax(logits: Any, frames: Any, labels: Any, count: Any) -> Any:
    """Computes the mean of `optax.ctc_loss`, whose arguments are masks of padding."""
    import jax.numpy as jnp
    import optax

    absent = (jnp.arange(logits.shape[1]) >= frames[:, None]).astype(jnp.float32)
    missing = (jnp.arange(labels.shape[1]) >= count[:, None]).astype(jnp.float32)
    return optax.ctc_loss(logits, absent, labels, missing).mean()


def dlcore(size: Size) -> Any:
    """Returns the step with `kernels.ctc.ctc_loss`."""
    from dlcore.kernels.ctc import ctc_loss
    from tests.benchmarks import ours

    return ours.slope(lambda *x: ctc_loss(*x).mean(), *given(size))


def flax(size: Size) -> Any:
    """Returns the step with `optax.ctc_loss`."""
    from tests.benchmarks import flaxed

    return flaxed.slope(of_optax, *given(size))


def torch(size: Size) -> Any:
    """Returns the step with `F.ctc_loss`, eager."""
    import torch as pt
    from torch.nn import functional as f

    from tests.benchmarks import torched

    logits, frames, labels, count = (pt.tensor(x) for x in given(size))

    def loss(x: Any) -> Any:
        log_p = f.log_softmax(x, -1).transpose(0, 1)
        return f.ctc_loss(
            log_p, labels.long(), frames.long(), count.long(), reduction="none"
        ).mean()

    return torched.slope(loss, logits)
