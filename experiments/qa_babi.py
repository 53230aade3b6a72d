"""A memory network that answers questions on stories, on all tasks of bAbI in one run.

Family: memory network (MemN2N)
Task: question answering
Data: bAbI 1.2 (own builder), 20 tasks of 1,000 or 10,000 questions; --offline: synthetic; or --data
Published: mean error 0.203 on 1k by MemN2N, 0.0035 on 10k without task 3 by EntNet (second-hand)
Headline: test/mean_error

A task is solved where its error is below 5 %. Of task 3 `--examples 10k` has 1,000 questions only.
"""

from dataclasses import dataclass
from typing import Annotated

import dlcore
from dlcore.bounds import PositiveInt, Range, Rate
from dlcore.data.sets import babi
from dlcore.data.sets.babi import Examples
from dlcore.models.memory_reader import MemoryReader, Size
from dlcore.options import RunOptions
from dlcore.tasks import stories, story_scores
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits

RUN = RunOptions(cpu_devices=1)


@dataclass(frozen=True)
class Config:
    examples: Examples = "1k"
    tasks: tuple[Annotated[int, Range(1, 20)], ...] = ()  # (): all 20 together
    sentences: PositiveInt = 50  # of longer stories the last ones are read
    held_out: Annotated[float, Range(0, 1, "()")] = 0.1  # of the training stories, for validation
    width: PositiveInt = 64
    hops: PositiveInt = 3
    dropout: Rate = 0.1
    recipe: Recipe = Recipe("adamw", lr=2e-3, warmup=200, weight_decay=0.01, clip_norm=5.0)
    batch: int = 64
    steps: int = 12000


PRESETS = {
    "large": Config("10k", width=96, steps=40000),
    "offline": Config(width=32, dropout=0.0, steps=1500),
    "tiny": Config(width=8, hops=2, dropout=0.0, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return babi.load(source, c.examples, c.tasks, c.sentences, c.held_out)


def build(c: Config, splits: Splits) -> Experiment:
    encoder = stories.encoder_of(splits.facts)
    words, answers = len(encoder.vocabulary) + 2, len(encoder.answers)
    size = Size(words, answers, encoder.sentences, c.width, c.hops, c.dropout)
    model = Model("net", MemoryReader(size), inputs=stories.inputs)
    predictor = stories.predictor(model, splits.facts)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(stories.loss(model), c.recipe(c.steps))},
        evaluators=story_scores.evaluators(model, splits, c.examples),
        samples=[stories.samples(predictor, splits.test)],
        predictor=predictor,
        best="validation/mean_error",
        published=story_scores.published(c.examples, splits.facts),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
