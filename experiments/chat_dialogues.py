"""A GPT that answers in dialogues of booking, searching and ordering.

Family: Transformer decoder (GPT)
Task: dialogue
Data: sgd_dialogue and taskmaster4 1.0.0 (own TFDS builders), 6,782; --offline: synthetic orders
Published: none comparable
Headline: test/perplexity

The loss is that of the assistant's answers alone. The baseline is the answer of the training
context that is most similar by TF-IDF. `--pretrained RUN` begins with the parameters and the
tokenizer of a run of gpt_english of the same sizes; `--preset low_rank` then trains changes of low
rank of its matrices, to compare `trained_parameters` and `optimizer_bytes` too.
"""

from dataclasses import dataclass, replace

import dlcore
from dlcore.bounds import NonNegativeInt, PositiveInt, Rate
from dlcore.data import tokenizer
from dlcore.data.sets import dialogue_answers
from dlcore.models.gpt import GPT, MATRICES, TENSOR, Size
from dlcore.tasks import dialogue, dialogue_assistant
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits, tuning, weights

SETS = ("sgd_dialogue", "taskmaster4")
MUON = Recipe("muon", lr=3e-3, end=0.1, warmup=100, weight_decay=0.1, clip_norm=1.0, b2=0.99)
ADAMW = Recipe("adamw", lr=3e-3, end=0.1, warmup=0.1, weight_decay=0.1, clip_norm=1.0, b2=0.99)


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
    answers: PositiveInt = 200  # that are generated and compared, of each split
    rank: NonNegativeInt = 0  # of the changes that are trained; 0: all parameters are
    recipe: Recipe = MUON
    batch: int = 16
    steps: int = 800


PRESETS = {
    "low_rank": Config(rank=8, recipe=replace(ADAMW, weight_decay=0.0)),
    "offline": Config(context=96, longest=32, answers=40, steps=200),
    "tiny": Config(
        "", 300, 2, 4, 2, 16, context=96, dropout=0.1, longest=24, answers=8, recipe=ADAMW,
        batch=32, steps=6,
    ),
}  # fmt: skip


def data(c: Config, source: DataSource) -> Splits:
    sizes = c.context, c.vocabulary, c.longest, c.answers
    return dialogue_answers.load(SETS, source, *sizes, tokenizer.of_weights(c.pretrained))


def build(c: Config, splits: Splits) -> Experiment:
    used = tokenizer.from_facts(splits.facts.tokenizer)
    shape = (len(used), c.context, c.layers, c.heads, c.width, c.dropout)
    size = Size(*shape, rotary=True, kv_heads=c.kv_heads, norm="rms", mlp="swiglu")
    model = Model("net", GPT(size), dialogue.inputs)
    tuned = tuning.of_rank(model, splits.template(c.batch), MATRICES, c.rank)
    objectives = {tuned.trained: Objective(dialogue.loss(tuned), c.recipe(c.steps))}
    assistant = dialogue_assistant.Assistant(size, used, c.longest, merged=tuned.merged)
    return Experiment(
        config=c,
        splits=splits,
        models=tuned.models,
        load=weights.of(c.pretrained, {"net": "net"}, {"heads": c.heads, "kv_heads": c.kv_heads}),
        objectives=objectives,
        evaluators=[*dialogue.evaluators(tuned, assistant, splits), tuning.evaluator(objectives)],
        samples=[dialogue.samples("Test dialogues", assistant, splits["test_answers"])],
        predictor=dialogue_assistant.predictor(assistant),
        text_model=dialogue_assistant.text_model(assistant),
        best="validation/perplexity",
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
