"""A BERT that is pretrained to predict masked tokens of English.

Family: Transformer encoder (BERT)
Task: masked language modelling
Data: english_text 1.0.0 (own TFDS builder), 15 MB; --offline: text of the Python documentation
Published: none comparable

The corpus has no text of sentence_polarity and clinc_oos, on which it is fine-tuned. `--preset
clean` also leaves out texts on which other experiments test, xquad with SQuAD's paragraphs and two
sets of dialogues; its card names them. assets/bert_english.npz is the run of seed 0 (validation
loss 3.216), by `dlcore export RUN FILE.npz --half`; assets/bert_english.json is its tokenizer.
"""

from dataclasses import dataclass
from functools import partial

import dlcore
from dlcore.bounds import PositiveInt, Probability, Rate
from dlcore.data import tokenizer
from dlcore.data.sets import text
from dlcore.models.bert import TENSOR, Masked
from dlcore.models.encoder import Size
from dlcore.tasks import masked_modelling, masked_predictor, token_frequencies
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits


@dataclass(frozen=True)
class Config:
    layers: PositiveInt = 2
    heads: PositiveInt = 4
    width: PositiveInt = 128
    length: PositiveInt = 64
    vocabulary: PositiveInt = 8192
    without: tuple[str, ...] = ()  # kinds of documents of english_text that are left out
    mask_fraction: Probability = 0.15
    dropout: Rate = 0.0
    recipe: Recipe = Recipe("muon", lr=4e-3, warmup=100, weight_decay=0.1, clip_norm=1.0, b2=0.99)
    batch: int = 64
    steps: int = 3600


ADAMW = Recipe("adamw", lr=4e-3, warmup=100, weight_decay=0.1, clip_norm=1.0, b2=0.99)
PRESETS = {
    "clean": Config(without=("xquad", "sgd_dialogue", "taskmaster4")),
    "offline": Config(steps=200),
    "tiny": Config(1, 2, 16, 16, 300, dropout=0.1, recipe=ADAMW, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    load = partial(text.load, "english_text", source, c.length, layout="lines")
    return load(vocabulary=c.vocabulary, without=c.without)


def build(c: Config, splits: Splits) -> Experiment:
    tokens = tokenizer.from_facts(splits.facts.tokenizer)
    masked = masked_modelling.mask(tokens, c.mask_fraction, c.length)
    size = Size(c.layers, c.heads, c.width, dropout=c.dropout)
    model = Model("net", Masked(len(tokens), size), inputs=masked_modelling.inputs(masked))
    loss = masked_modelling.loss(model, masked)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        evaluators=[token_frequencies.masked_evaluator(splits, masked_modelling.ORDINARY)],
        samples=[masked_modelling.samples(model, masked, splits.validation, tokens)],
        predictor=masked_predictor.predictor(model, tokens, c.length),
        best="validation/loss",
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
