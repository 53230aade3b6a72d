"""A recurrent network on the characters of tiny Shakespeare, by truncated backpropagation.

Family: Recurrent network (Elman, LSTM, GRU)
Task: language modelling, text generation
Data: tiny Shakespeare 1.0.0 (TFDS), split 90/10; --offline: text of the Python documentation
Published: validation loss 1.88, nanoGPT's CPU recipe of a Transformer (on 20 batches)

A window has `chunks` x `context` tokens. The state is carried through the whole window; with
--truncate gradients flow through `context` tokens only.
"""

from dataclasses import dataclass

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data import tokenizer
from dlcore.data.sets import text
from dlcore.models import char_rnn, rnn
from dlcore.models.decoding import rnn_decoder
from dlcore.options import DataSource
from dlcore.tasks import continuation, language_modelling
from dlcore.train import Experiment, Model, Objective, Published, Recipe, Splits, TextModel

MUON = Recipe("muon", lr=5e-2, end=0.01, warmup=50, weight_decay=0.1, clip_norm=1.0, b2=0.99)


@dataclass(frozen=True)
class Config:
    cell: rnn.Cell = "lstm"
    layers: PositiveInt = 1
    width: PositiveInt = 320
    context: PositiveInt = 64
    chunks: PositiveInt = 2
    truncate: bool = True
    dropout: Rate = 0.0
    recipe: Recipe = MUON
    temperature: NonNegativeFloat = 0.8
    top_k: NonNegativeInt = 20
    batch: int = 16
    steps: int = 1500


PRESETS = {
    "offline": Config(steps=250),
    "tiny": Config(layers=2, width=16, context=8, dropout=0.1, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return text.load("tiny_shakespeare", source, c.context * c.chunks)


def build(c: Config, splits: Splits) -> Experiment:
    characters = tokenizer.from_facts(splits.facts.tokenizer)
    net = char_rnn.CharRNN(rnn.RNN(c.cell, c.width, c.layers, dropout=c.dropout), len(characters))
    truncation = {"truncation": c.context if c.truncate else 0}

    def inputs(batch, key, train):
        return (batch["tokens"],), truncation

    model = Model("net", net, inputs, output=lambda y, batch: y[0])  # the logits without states
    how = (c.temperature, c.top_k)
    continued = continuation.bound(char_rnn.generate, net, "net", 1000, *how)
    recipe = "nanoGPT's README, CPU recipe of a Transformer"
    title = f"Temperature {c.temperature}, top {c.top_k}"
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(language_modelling.loss(model), c.recipe(c.steps))},
        samples=[language_modelling.samples(title, continued, characters)],
        predictor=continuation.predictor(continued, characters),
        text_model=TextModel("net", rnn_decoder(net), characters),
        best="validation/loss",
        published=Published("loss", 1.88, recipe, "lower", "validation"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
