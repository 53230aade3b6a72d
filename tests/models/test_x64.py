"""With float64 switched on: parameters stay float32 unless somebody casts them, and index types do not mix. Traced, not compiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.latent import bernoulli_log_density
from dlcore.models import attention_gru, bert, cnn, encoder, gan, gpt, lru, mlp, resnet, rnn, seq2seq, unet, vae, vit
from dlcore.models.beam import beam_search

TOKENS = np.ones((2, 5), np.int32)
LABELS = np.zeros(2, np.int32)
IMAGES = np.zeros((2, 8, 8, 1), np.float32)
SERIES = np.zeros((2, 5, 3), np.float32)
SIZE = gpt.Size(7, 6, layers=1, heads=2, width=8)
VARIANT = gpt.Size(7, 6, 1, 2, 8, rotary=True, kv_heads=1, norm="rms", mlp="swiglu", scan=True)
PLACES = encoder.Size(1, 2, 8, context=9, positions="learned")
TRANSLATORS: dict[str, tuple[Any, Any, Any]] = {
    "seq2seq": (seq2seq, seq2seq.Seq2Seq, seq2seq.Size(7, 1, 1, 2, 8)),
    "attention_gru": (attention_gru, attention_gru.AttentionGRU, attention_gru.Size(7, 1, 8)),
}

NETS: dict[str, tuple[Any, tuple[np.ndarray, ...]]] = {
    "gpt": (gpt.GPT(SIZE), (TOKENS,)),
    "gpt with biases": (gpt.GPT(gpt.Size(7, 6, 1, 2, 8, biases=True)), (TOKENS,)),
    "gpt of its variants": (gpt.GPT(VARIANT), (TOKENS,)),
    "bert": (bert.Masked(7, PLACES), (TOKENS, TOKENS)),
    "bert classifier": (bert.Classifier(7, PLACES, 3), (TOKENS,)),
    **{name: (net(size), (TOKENS,) * 4) for name, (_, net, size) in TRANSLATORS.items()},
    "gru": (rnn.Reader(rnn.RNN("gru", 4, both=True, memory=5), 3), (SERIES,)),
    "lstm": (rnn.CharRNN(rnn.RNN("lstm", 4, memory=5), 3), (TOKENS,)),
    "elman": (rnn.Reader(rnn.RNN("elman", 4, layers=2), 3), (SERIES,)),
    "cnn": (cnn.CNN((4, 4), 8, 3, norm="batch"), (IMAGES,)),
    "resnet": (resnet.ResNet((8,), (1,), 3, stem=4), (IMAGES,)),
    "vit": (vit.ViT(encoder.Size(1, 2, 8), 4, 3), (IMAGES,)),
    "mlp": (mlp.Many(2, (4,), 3, norm="layer"), (np.zeros((2, 3, 4), np.float32),)),
    "lru": (lru.Classifier(8, 4, 1, 3), (SERIES,)),
    "unet": (unet.UNet(4), (IMAGES, np.zeros(2, np.float32), LABELS)),
    "generator": (gan.Generator(8, 2, 1, 3), (np.zeros((2, 4), np.float32), LABELS)),
    "discriminator": (gan.Discriminator(8, 3), (IMAGES, LABELS)),
    "vae": (vae.VAE(vae.ConvPosterior((4, 4), 3), vae.ConvLikelihood((4, 4), 2), 3, bernoulli_log_density), (IMAGES, SERIES)),
}


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def shapes(net: Any, *x: np.ndarray) -> Any:
    """The variables that a network begins with, as shapes and types."""
    return jax.eval_shape(net.init, jax.random.key(0), *x)


def types(tree: Any) -> set[np.dtype]:
    """The types of a tree's floating leaves."""
    return {np.dtype(x.dtype) for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)}


def cast(tree: Any, dtype: Any) -> Any:
    """Shapes with floating leaves of another type."""
    as_type = lambda x: dtype if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype  # noqa: E731
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, as_type(x)), tree)


@pytest.mark.quick
@pytest.mark.parametrize("name", NETS)
def test_a_network_has_one_float_type(name: str) -> None:
    """float32 as it begins, and of its outputs; float64 all through where parameters and inputs are."""
    net, x = NETS[name]
    variables = shapes(net, *x)
    assert types(variables) == {np.dtype(np.float32)}
    assert types(jax.eval_shape(net.apply, variables, *x)) == {np.dtype(np.float32)}
    wide = cast(variables, jnp.float64), *cast(x, jnp.float64)
    assert types(jax.eval_shape(net.apply, *wide)) == {np.dtype(np.float64)}


@pytest.mark.quick
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_searches_and_generation_mix_no_index_types(index: Any, dtype: Any) -> None:
    def zeros(net: Any, *x: Any) -> Any:
        return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), cast(shapes(net, *x)["params"], dtype))

    prompt, key = TOKENS[:, :2].astype(index), jax.random.key(0)
    params = zeros(gpt.GPT(SIZE), TOKENS)
    text = jax.eval_shape(lambda: gpt.generate(SIZE, params, prompt, key, 17))
    assert (text.shape, text.dtype) == ((2, 19), index)
    found = {"gpt": jax.eval_shape(lambda: gpt.likeliest(SIZE, params, prompt, 4, 3, 0))}
    net = rnn.CharRNN(rnn.RNN("lstm", 4), 7)
    text = jax.eval_shape(lambda: rnn.generate(net, zeros(net, TOKENS), prompt, key, 5))
    assert (text.shape, text.dtype) == ((2, 7), index)
    for name, (module, net, size) in TRANSLATORS.items():

        def search(module: Any = module, net: Any = net, size: Any = size) -> Any:
            step, state = module.begin(size, zeros(net(size), *(TOKENS,) * 4), prompt, 3, 4)
            return beam_search(step, state, prompt[:, 0], beams=3, length=4, end=0)

        found[name] = jax.eval_shape(search)
    for name, (tokens, scores) in found.items():
        assert (tokens.shape, tokens.dtype, scores.shape, scores.dtype) == ((2, 3, 4), np.int32, (2, 3), dtype), name
