"""A reader that marks the answer to a question in a text, from word vectors learned here.

Family: RNN with attention (BiDAF)
Task: question answering
Data: SQuAD 1.1 dev set (own builder), 38 articles (4 of them for validation) and 10 for test;
    --offline: synthetic facts, of whose questions some have no answer
Published: none for these splits; the published models learn from SQuAD's training set
Headline: test/f1

`--fold 0` to `4` choose the articles for test. Baselines on the same questions are a sliding window
and the sentence that is most similar. `--data` takes JSON lines {"question", "context", "answer"}
or JSON of SQuAD's form. `test_with_unanswerable` adds questions shown with a text that lacks the
answer: the reader gives none if its probability is below a threshold, which has the largest F1 on
validation. `--preset encoder` reads by an encoder; `--pretrained RUN` begins with that of a run of
`bert_english --preset clean`, which was trained without these articles.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import dlcore
from dlcore.bounds import NonNegativeInt, PositiveInt, Probability, Range, Rate
from dlcore.data import tokenizer
from dlcore.data.sets import questions
from dlcore.data.sets.question_windows import Encoder, Lengths
from dlcore.data.sets.sentences import SPECIALS
from dlcore.errors import UsageError
from dlcore.models.reader import ContextEncoder, Size, SpanReader, encoder_reader
from dlcore.options import RunOptions
from dlcore.tasks import question_answers, question_evaluators, question_samples, question_weights
from dlcore.tasks import questions as task
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits

ASSET = Path(__file__).with_name("assets") / "bert_english.npz"  # its tokenizer alone is used
RUN = RunOptions(cpu_devices=1)


@dataclass(frozen=True)
class Config:
    reader: Literal["words", "encoder"] = "words"
    pretrained: str = ""  # of a reader "encoder": a run, or weights .npz and a tokenizer .json
    fold: NonNegativeInt = 0
    window: PositiveInt = 256  # words, of an encoder subwords; a longer text is read in several
    stride: PositiveInt = 128
    question: PositiveInt = 32
    characters: PositiveInt = 10  # bytes of a word, of a reader "words"
    rarest: PositiveInt = 2  # occurrences from which a word has a vector, of a reader "words"
    negatives: Probability = 0.1  # of the questions, shown with a text that does not answer them
    encoder: ContextEncoder = "gru"  # of a reader "words"
    width: Annotated[int, Range(8)] = 96
    words: PositiveInt = 64  # features of a word's vector, of a reader "words"
    longest: PositiveInt = 16  # words of an answer, of an encoder subwords
    threshold: Annotated[float, Range(0.0, 1.0)] | None = None  # 0: always answers; None: chosen
    dropout: Rate = 0.3
    recipe: Recipe = Recipe("adamw", lr=2e-3, warmup=100, weight_decay=0.05, clip_norm=1.0)
    ema: Rate = 0.99
    batch: int = 32
    steps: int = 2400


SMALL = Config(window=96, stride=48, question=12, negatives=0.0, width=48)
PRESETS = {
    "attention": Config(encoder="attention"),
    "encoder": Config("encoder", window=192, stride=96, width=128, dropout=0.1),
    "offline": replace(SMALL, steps=800),
    "tiny": replace(SMALL, width=16, words=8, dropout=0.0, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    by_words = c.reader == "words"
    lengths = Lengths(c.window, c.stride, c.question, c.characters if by_words else 0)
    subwords = None if by_words else tokenizer.of_weights(c.pretrained or ASSET)
    return questions.load(source, lengths, c.fold, c.negatives, c.rarest, subwords, c.longest)


def build(c: Config, splits: Splits) -> Experiment:
    if c.pretrained and c.reader == "words":
        raise UsageError("--pretrained is of --reader encoder: a reader of words has none")
    if c.reader == "encoder" and not c.pretrained:
        question_weights.warn_of_tokens(splits)
    size = Size(splits.facts.vocabulary, c.width, c.words, 32, c.encoder, c.dropout)
    net = SpanReader(size) if c.reader == "words" else encoder_reader(size, SPECIALS.index("[sep]"))
    model = Model("net", net, inputs=task.inputs)
    finder = question_answers.Finder(model, Encoder.from_facts(splits.facts.encoder), c.longest)
    threshold = question_evaluators.Threshold(finder, splits, c.threshold)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        load=question_weights.load(c.pretrained, splits),
        objectives={"net": Objective(task.loss(model), c.recipe(c.steps, c.ema))},
        evaluators=question_evaluators.evaluators(threshold),
        samples=[question_samples.samples(finder, splits.test, threshold.tested)],
        predictor=question_answers.predictor(finder),
        best="validation/f1",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
