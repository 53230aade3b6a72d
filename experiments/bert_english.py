"""A BERT that is pretrained to predict masked tokens of English.

Family: Transformer encoder (BERT)
Task: masked language modelling
Data: english_text 1.0.0 (own TFDS builder), 15 MB; --offline: text of the Python documentation
Published: none comparable

The corpus has no text of sentence_polarity and clinc_oos, on which it is fine-tuned. The tokenizer
has 8,192 byte pairs. assets/bert_english.npz is the run of seed 0 (validation loss 3.216), by
`dlcore export RUN FILE.npz --half`; assets/bert_english.json is its tokenizer.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

import dlcore
from dlcore.bounds import PositiveInt, Probability, Rate
from dlcore.data import tokenizer
from dlcore.data.sets import text
from dlcore.data.sets.sentences import SPECIALS
from dlcore.kernels.masking import corrupt_tokens, random_positions
from dlcore.models.bert import TENSOR, Masked
from dlcore.models.encoder import Size
from dlcore.tasks import masked_modelling
from dlcore.train import DataSource, Experiment, Model, Objective, Out, Recipe, Splits, mean


@dataclass(frozen=True)
class Config:
    layers: PositiveInt = 2
    heads: PositiveInt = 4
    width: PositiveInt = 128
    length: PositiveInt = 64
    vocabulary: PositiveInt = 8192
    mask_fraction: Probability = 0.15
    dropout: Rate = 0.0
    recipe: Recipe = Recipe("muon", lr=4e-3, warmup=100, weight_decay=0.1, clip_norm=1.0, b2=0.99)
    batch: int = 64
    steps: int = 3600


ADAMW = Recipe("adamw", lr=4e-3, warmup=100, weight_decay=0.1, clip_norm=1.0, b2=0.99)
PRESETS = {
    "offline": Config(steps=200),
    "tiny": Config(1, 2, 16, 16, 300, dropout=0.1, recipe=ADAMW, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return text.load("english_text", source, c.length, vocabulary=c.vocabulary, layout="lines")


def build(c: Config, splits: Splits) -> Experiment:
    tokens = tokenizer.from_facts(splits.facts.tokenizer)
    vocabulary, ordinary = len(tokens), len(SPECIALS)
    count = max(1, round(c.mask_fraction * c.length))
    mask_token = tokens.special("[mask]")

    def masked(batch, key):
        """The corrupted tokens, and the positions whose tokens are predicted."""
        x, row = batch["tokens"], batch["row"]
        positions = random_positions(jax.random.fold_in(key, 0), row, x >= ordinary, count)
        key = jax.random.fold_in(key, 1)
        return corrupt_tokens(key, row, x, positions, mask_token, ordinary, vocabulary), positions

    def inputs(batch, key, train):
        if key is None:  # at initialisation
            return batch["tokens"], jnp.zeros_like(batch["tokens"][:, :1])
        return masked(batch, key)

    size = Size(c.layers, c.heads, c.width, dropout=c.dropout)
    model = Model("net", Masked(vocabulary, size), inputs)

    def loss(params, extra, batch, key, train):
        logits, extra = model(params, extra, batch, key, train)
        positions = masked(batch, key)[1]
        target = jnp.take_along_axis(batch["tokens"], positions, 1)
        counts = (target >= ordinary) * batch["mask"][:, None]
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        xent = optax.softmax_cross_entropy_with_integer_labels(logits, target)
        accuracy = mean(logits.argmax(-1) == target, counts)
        return Out(mean(xent, counts), {"accuracy": accuracy}, extra)

    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        samples=[masked_modelling.samples(model, masked, splits.validation, tokens)],
        best="validation/loss",
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
