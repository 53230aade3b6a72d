"""A GPT that is tuned on answers which people labelled right or wrong (KTO or DPO).

Family: Transformer decoder (GPT)
Task: preference tuning
Data: taskmaster4_rewards 1.0.0 (own TFDS builder), 3,228 answers; --offline: made-up orders
Published: none comparable; PERL's reward models are larger, and trained on more answers
Headline: test/reward_accuracy

`--pretrained RUN` begins with a run of chat_dialogues of the same sizes, which is also the frozen
reference. The accuracy is over all pairs of a right and a wrong answer. `--preset dpo` learns from
pairs of answers to one context (220 contexts have both), cross-validated: one policy for each fold,
and the accuracy is of the pairs of that fold. `dlcore predict` and `dlcore chat` use the first.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import dlcore
from dlcore.bounds import PositiveFloat, PositiveInt, Range, Rate
from dlcore.data import tokenizer
from dlcore.data.sets import dialogue_pairs, dialogue_rewards
from dlcore.models.gpt import GPT, TENSOR, Size
from dlcore.tasks import dialogue, preference, preference_pairs
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits, Weights

ADAMW = Recipe("adamw", lr=1e-4, warmup=0.1, weight_decay=0.01, clip_norm=1.0)


@dataclass(frozen=True)
class Config:
    pretrained: str = ""
    vocabulary: PositiveInt = 2048
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    kv_heads: PositiveInt = 2
    width: PositiveInt = 128
    context: PositiveInt = 256
    dropout: Rate = 0.0
    longest: PositiveInt = 64
    loss: Literal["kto", "dpo"] = "kto"
    folds: Annotated[int, Range(2)] = 5  # of DPO
    beta: PositiveFloat = 0.1
    right_weight: PositiveFloat = 1.0
    wrong_weight: PositiveFloat = 6.0  # a seventh of the answers are wrong
    recipe: Recipe = ADAMW
    batch: int = 32
    steps: int = 150


PRESETS = {
    "dpo": Config(loss="dpo", batch=8, steps=150),
    "offline": Config(context=64, longest=24, wrong_weight=1.0, steps=200),
    "tiny": Config(
        "", 300, 2, 4, 2, 16, context=64, dropout=0.1, longest=16, wrong_weight=1.0,
        recipe=replace(ADAMW, lr=1e-3), batch=32, steps=6,
    ),
}  # fmt: skip


def data(c: Config, source: DataSource) -> Splits:
    pretrained = tokenizer.of_run(Path(c.pretrained)) if c.pretrained else None
    sizes = ("taskmaster4_rewards", source, c.context, c.vocabulary)
    if c.loss == "dpo":
        return dialogue_pairs.load(*sizes, c.folds, pretrained)
    return dialogue_rewards.load(*sizes, pretrained)


def build(c: Config, splits: Splits) -> Experiment:
    used = tokenizer.from_facts(splits.facts.tokenizer)
    shape = (len(used), c.context, c.layers, c.heads, c.width, c.dropout)
    size = Size(*shape, rotary=True, kv_heads=c.kv_heads, norm="rms", mlp="swiglu")
    policy = Model("net", GPT(size), inputs=lambda batch, key, train: batch["tokens"])
    reference = replace(policy, name="reference")
    if paired := c.loss == "dpo":
        policies = preference_pairs.policies(policy, c.folds)
        losses = preference_pairs.losses(policies, reference, c.beta)
        evaluators = preference_pairs.evaluators(policies, reference, splits.evaluated())
    else:
        policies = [policy]
        losses = [preference.loss(policy, reference, c.beta, c.right_weight, c.wrong_weight)]
        evaluators = preference.evaluators(policy, reference, splits.evaluated())
    models = [*policies, reference]
    assistant = dialogue.Assistant(size, used, c.longest)
    return Experiment(
        config=c,
        splits=splits,
        models=models,
        load={m.name: Weights(Path(c.pretrained), "net") for m in models} if c.pretrained else {},
        objectives={
            model.name: Objective(loss, c.recipe(c.steps))
            for model, loss in zip(policies, losses, strict=True)
        },
        evaluators=evaluators,
        predictor=dialogue.predictor(assistant),
        text_model=dialogue.text_model(assistant),
        best="" if paired else "validation/reward_accuracy",
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
