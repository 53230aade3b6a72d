"""Language modelling: the loss of the next token, and generated texts."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Integer

from dlcore.data.characters import Vocabulary
from dlcore.data.checks import index_below
from dlcore.data.tokenizer import Tokenizer
from dlcore.errors import UsageError
from dlcore.samples import Sample, Text
from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Loss, Mean, Out, Params, State, mean

Generate = Callable[[State, Array, Array], Array]  # (state, tokens, key) -> tokens


def loss(model: Logits, label_smoothing: float = 0.0) -> Loss:
    """Returns the cross-entropy of the next token, in nats, as a mean over weighted tokens.

    Where a batch has `bytes`, the number of bytes of each target [batch, length], there is a metric
    `bits_per_byte`, by which models of different vocabularies can be compared.

    Args:
        model: computes logits [batch, length, vocabulary] of a batch with `targets`, int
            [batch, length], their `weight`, float [batch, length], and `mask`, float [batch].
        label_smoothing: as of `classification.loss`, in training only.

    Raises:
        ValueError: a label smoothing outside [0, 1).
    """
    smoothing = label_smoothing
    if not 0 <= smoothing < 1:
        raise ValueError(f"label smoothing {smoothing} is outside [0, 1)")

    def cross_entropy(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = model(params, extra, batch, key, train)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        index_below("targets", y.shape[-1], weight="weight")
        xent = optax.softmax_cross_entropy_with_integer_labels(y, batch["targets"])
        metrics = {}
        if "bytes" in batch:
            weight = batch["weight"] * batch["mask"][:, None]
            metrics["bits_per_byte"] = Mean(
                mean(xent, weight).total / math.log(2), mean(batch["bytes"], weight).total
            )
        # a fraction of the target's probability is spread evenly over all tokens
        if train and smoothing:
            target_logit = jnp.take_along_axis(y, batch["targets"][..., None], -1)[..., 0]
            xent = xent + smoothing * (target_logit - y.mean(-1))
        return Out(mean(xent, batch["weight"] * batch["mask"][:, None]), metrics, extra)

    return cross_entropy


def samples(
    title: str,
    generate: Generate,
    tokenizer: Tokenizer,
    prompt: str = "\n",
    start: int | None = None,
    longest: int | None = None,
) -> Callable[[State, Array], list[Sample]]:
    """Shows a text that the model generates.

    Args:
        title: of the sample.
        generate: (state, tokens int32 [1, prompt], key) -> tokens [1, prompt + new].
        tokenizer: of the model's tokens.
        prompt: beginning of the text; where a character vocabulary lacks any of its characters, the
            vocabulary's first character replaces the whole prompt.
        start: a token before the prompt, the one between documents; None: none.
        longest: largest number of tokens of the prompt, `start` included; None: any number.

    Returns:
        (state, key) -> samples.

    Raises:
        UsageError: the prompt has more than `longest` tokens.
    """
    beginning = prompt
    if isinstance(tokenizer, Vocabulary) and not set(prompt) <= set(tokenizer.symbols):
        beginning = tokenizer.symbols[0]
    first = [] if start is None else [start]
    tokens = np.asarray([*first, *tokenizer.encode(beginning)], np.int32)[None]
    if longest is not None and tokens.shape[1] > longest:
        raise UsageError(
            f"--prompt has {tokens.shape[1]} tokens, and with a continuation {longest} fit into the"
            " context: shorten it, or give a larger --context"
        )

    def draw(state: State, key: Array) -> list[Sample]:
        generated = np.asarray(generate(state, jnp.asarray(tokens), key))[0, tokens.shape[1] :]
        return [Text(title, decoded(tokenizer, generated, start), beginning)]

    return draw


def decoded(tokenizer: Tokenizer, tokens: np.ndarray, start: int | None = None) -> str:
    """Decodes generated tokens, int [n]; an empty line stands for each token `start`.

    Args:
        tokenizer: of the tokens. An embedding can have more rows than it has tokens; such indices
            stand for its last one.
        tokens: the tokens.
        start: the one between documents; None: none.
    """
    tokens = np.minimum(tokens, len(tokenizer) - 1)
    documents = np.split(tokens, np.flatnonzero(tokens == (-1 if start is None else start)))
    texts = [tokenizer.decode(each[i > 0 :]) for i, each in enumerate(documents)]
    return "\n\n".join(texts)


def appended(
    prompt: Integer[Array, "1 length"], tokens: Integer[Array, "1 new"]
) -> Integer[Array, "1 total"]:
    """Appends generated tokens [1, new] to a prompt [1, length], as `samples` needs them."""
    return jnp.concatenate([prompt, tokens], 1)


def best_continuation(
    search: Callable[..., tuple[Array, ...]], net: object, model: str, length: int, *how: int
) -> Generate:
    """Binds a beam search to a model, as `samples` needs it.

    Args:
        search: (net, params, prompt, length, *how) -> (tokens [batch, beams, length], ...), the
            most likely first, such as `models.gpt_generation.likeliest`.
        net: its first argument: the network, or its shape.
        model: the name of the parameters.
        length: the number of new tokens.
        how: the number of beams and the token that ends a text.

    Returns:
        (state, prompt int32 [1, prompt], key) -> tokens [1, prompt + length] of the highest-scoring
        continuation; the key is not used.
    """

    def continued(state: State, prompt: Array, key: Array) -> Array:
        found = search(net, state.params[model], prompt, length, *how)
        return appended(prompt, found[0][:, 0])

    return continued
