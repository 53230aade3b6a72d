"""A bidirectional LSTM of 128 with CTC: 32 utterances of up to 200 frames, 30 labels, Adam."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.rows import ctc_loss

LIMITS = {"torch": 1.2, "flax": 1.0}
CPU_DEVICES = 1  # 0.9 of the time of two


class Size(NamedTuple):
    """Sizes: units of a direction, features of a frame, frames, labels, classes, utterances."""

    width: int = 128
    inputs: int = 40
    frames: int = 200
    labels: int = 30
    classes: int = 29
    batch: int = 32


FULL, TINY = Size(), Size(8, 4, 9, 3, 4, 4)


def given(size: Size) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, ...]]:
    """Draws weights, and a batch: features, numbers of frames, labels, numbers of labels.

    Gates are concatenated in the order input, forget, cell, output; `_back` is the reverse
    direction.
    """
    rng, n = np.random.default_rng(0), size.width
    shapes = {"head": (2 * n, size.classes)}
    for way in ("", "_back"):
        shapes |= {f"given{way}": (size.inputs, 4 * n), f"kernel{way}": (n, 4 * n)}
    weights = {
        name: rng.normal(0, shape[0] ** -0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    x = rng.normal(size=(size.batch, size.frames, size.inputs)).astype(np.float32)
    return weights, (
        x,
        *ctc_loss.lengths(ctc_loss.Size(size.frames, size.labels, size.classes, size.batch)),
    )


def dlcore(size: Size) -> Any:
    """Returns the step with `models.rnn.Reader` and `kernels.ctc.ctc_loss`."""
    import jax.numpy as jnp
    import optax

    from dlcore.kernels.ctc import ctc_loss
    from dlcore.models.apply import apply
    from dlcore.models.rnn import RNN, Reader
    from dlcore.train.step import Objective, Out, mean
    from tests.benchmarks import ours

    net = Reader(RNN("lstm", size.width, bidirectional=True), outputs=size.classes, every=True)

    def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        seen = (jnp.arange(size.frames)[None] < batch["frames"][:, None]).astype(jnp.float32)
        logits, extra = apply(
            net, "net", params, extra, batch["x"], key=key, train=train, mask=seen, row=batch["row"]
        )
        return Out(
            mean(ctc_loss(logits, batch["frames"], batch["labels"], batch["count"]), batch["mask"]),
            {},
            extra,
        )

    weights, data = given(size)
    zeros, rnn = np.zeros(4 * size.width, np.float32), {}
    for way in ("", "_back"):
        rnn[f"layer_0{way}"] = {
            "kernel": weights[f"kernel{way}"],
            "input": {"kernel": weights[f"given{way}"], "bias": zeros},
        }
    params = {
        "rnn": rnn,
        "head": {"kernel": weights["head"], "bias": np.zeros(size.classes, np.float32)},
    }
    batch = dict(zip(("x", "frames", "labels", "count"), data, strict=True))
    return ours.training({"net": Objective(loss, optax.adam(1e-3))}, {"net": params}, batch)


def flax(size: Size) -> Any:
    """`nn.Bidirectional` of two `nn.RNN` of `nn.OptimizedLSTMCell`; `optax.ctc_loss`."""
    import flax.linen as nn
    import optax

    from tests.benchmarks import flaxed

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any, frames: Any) -> Any:
            ways = (
                nn.RNN(nn.OptimizedLSTMCell(size.width, name=name))
                for name in ("cell", "cell_back")
            )
            return nn.Dense(size.classes, name="head")(
                nn.Bidirectional(*ways)(x, seq_lengths=frames)
            )

    weights, data = given(size)
    params: dict[str, Any] = {
        "head": {"kernel": weights["head"], "bias": np.zeros(size.classes, np.float32)}
    }
    for way in ("", "_back"):
        own = {
            f"i{gate}": {"kernel": k}
            for gate, k in zip("ifgo", np.split(weights[f"given{way}"], 4, 1), strict=True)
        }
        for gate, kernel in zip("ifgo", np.split(weights[f"kernel{way}"], 4, 1), strict=True):
            own[f"h{gate}"] = {"kernel": kernel, "bias": np.zeros(size.width, np.float32)}
        params[f"cell{way}"] = own

    def loss(params: Any, x: Any, frames: Any, labels: Any, count: Any) -> Any:
        return ctc_loss.of_optax(Net().apply({"params": params}, x, frames), frames, labels, count)

    return flaxed.training(loss, params, optax.adam(1e-3), *data)


def torch(size: Size) -> Any:
    """Returns the step with `nn.LSTM` over packed sequences and `F.ctc_loss`, eager."""
    import torch as pt
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    from tests.benchmarks import torched

    weights, data = given(size)
    lstm = nn.LSTM(size.inputs, size.width, batch_first=True, bidirectional=True)
    head = torched.linear(weights["head"])
    for way, name in (("", ""), ("_reverse", "_back")):
        torched.fill(getattr(lstm, f"weight_ih_l0{way}"), weights[f"given{name}"].T)
        torched.fill(getattr(lstm, f"weight_hh_l0{way}"), weights[f"kernel{name}"].T)
        for bias in (f"bias_ih_l0{way}", f"bias_hh_l0{way}"):
            nn.init.zeros_(getattr(lstm, bias))
        # one of two that are added: the others have one
        getattr(lstm, f"bias_ih_l0{way}").requires_grad_(False)
    x, frames, labels, count = (pt.tensor(each) for each in data)
    int64 = labels.long(), frames.long(), count.long()

    def loss() -> Any:
        packed = pack_padded_sequence(x, frames, batch_first=True, enforce_sorted=False)
        log_probabilities = head(pad_packed_sequence(lstm(packed)[0])[0]).log_softmax(-1)
        return nn.functional.ctc_loss(log_probabilities, *int64, reduction="none").mean()

    own = [p for part in (lstm, head) for p in part.parameters() if p.requires_grad]
    return torched.training(loss, pt.optim.Adam(own, 1e-3))
