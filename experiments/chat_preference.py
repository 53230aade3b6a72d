"""A GPT that is tuned on answers which people labelled right or wrong (KTO or DPO).

Family: Transformer decoder (GPT)
Task: preference tuning
Data: taskmaster4_rewards 1.0.0 (own TFDS builder), 3,228 answers; --offline: synthetic; or --data
Published: none comparable; PERL's reward models are larger, and trained on more answers
Headline: test/reward_accuracy

`--pretrained RUN` begins with a run of chat_dialogues of the same sizes, which is also the frozen
reference; 27 contexts begin with a message that also begins a dialogue of taskmaster4, from which
that run learned. The accuracy is over all pairs of a right and a wrong answer; with `--preset dpo`
over pairs of one context (220 have both), each by the policy of its fold, which learns from the
others. DPO has no validation split: its settings may have been chosen on the same folds.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import dlcore
from dlcore.bounds import PositiveFloat, PositiveInt, Range, Rate
from dlcore.data import tokenizer
from dlcore.data.sets import dialogue_pairs, dialogue_rewards
from dlcore.models.gpt import GPT, TENSOR, Size
from dlcore.tasks import dialogue_assistant, preference, preference_pairs, preference_samples
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits, weights

ADAMW = Recipe("adamw", lr=1e-4, warmup=0.1, weight_decay=0.01, clip_norm=1.0)
TINY = replace(ADAMW, lr=1e-3)


@dataclass(frozen=True)
class Config:
    pretrained: str = ""
    vocabulary: PositiveInt = 2048  # without --pretrained
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    kv_heads: PositiveInt = 2
    width: PositiveInt = 128
    context: PositiveInt = 256
    dropout: Rate = 0.0
    longest: PositiveInt = 64  # tokens of an answer
    loss: Literal["kto", "dpo"] = "kto"
    folds: Annotated[int, Range(2)] = 5  # cross-validation folds, of DPO
    beta: PositiveFloat = 0.1
    right_weight: PositiveFloat = 1.0  # of KTO
    wrong_weight: PositiveFloat = 6.0  # of KTO; a seventh of the answers are wrong
    recipe: Recipe = replace(ADAMW, lr=2e-5)
    batch: int = 32
    steps: int = 150


PRESETS = {
    "dpo": Config(loss="dpo", recipe=ADAMW, batch=8, steps=150),
    "offline": Config(context=64, longest=24, wrong_weight=1.0, recipe=ADAMW, steps=200),
    "tiny": Config("", 300, 2, 4, 2, 16, 64, 0.1, 16, wrong_weight=1.0, recipe=TINY, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    used = c.context, c.vocabulary, tokenizer.of_weights(c.pretrained)
    if c.loss == "dpo":
        return dialogue_pairs.load("taskmaster4_rewards", source, *used, folds=c.folds)
    return dialogue_rewards.load("taskmaster4_rewards", source, *used)


def build(c: Config, splits: Splits) -> Experiment:
    used = tokenizer.from_facts(splits.facts.tokenizer)
    shape = (len(used), c.context, c.layers, c.heads, c.width, c.dropout)
    heads = {"heads": c.heads, "kv_heads": c.kv_heads}
    size = Size(*shape, rotary=True, kv_heads=c.kv_heads, norm="rms", mlp="swiglu")
    policy = Model("net", GPT(size), inputs=lambda batch, key, train: batch["tokens"])
    reference = replace(policy, name="reference", init_as="net")
    shared = policy, reference, splits.evaluated(), c.beta
    if c.loss == "dpo":
        tuning = preference_pairs.tuning(*shared, c.folds)
    else:
        tuning = preference.tuning(*shared, c.right_weight, c.wrong_weight)
    assistant = dialogue_assistant.Assistant(size, used, c.longest)
    return Experiment(
        config=c,
        splits=splits,
        models=tuning.models,
        load=weights.of(c.pretrained, {model.name: "net" for model in tuning.models}, heads),
        objectives={n: Objective(loss, c.recipe(c.steps)) for n, loss in tuning.losses.items()},
        evaluators=tuning.evaluators,
        samples=[preference_samples.samples(policy, reference, splits.test, used)],
        predictor=dialogue_assistant.predictor(assistant),
        text_model=dialogue_assistant.text_model(assistant),
        best=tuning.best,
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
