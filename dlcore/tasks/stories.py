"""Questions on stories: their loss, answers, and the sentences attended to."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dlcore.data.facts import Facts
from dlcore.data.own import questions as own
from dlcore.data.own import stories as babi_files
from dlcore.data.sets import babi
from dlcore.data.sets.babi import Encoder, Stories, Story, words
from dlcore.errors import UsageError
from dlcore.samples import Sample, Span
from dlcore.tasks import story_scores
from dlcore.tasks.question_answers import Evidence
from dlcore.tasks.question_baselines import sentences
from dlcore.tasks.reliability import diagram
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean


def inputs(batch: Batch, key: Array | None, train: bool) -> tuple[Array, Array]:
    """Returns `story` and `question` of a batch; the `inputs` of a `Model`."""
    return batch["story"], batch["question"]


def loss(model: Logits) -> Loss:
    """Returns the cross-entropy of the answer, in nats; metric: `accuracy`.

    Args:
        model: computes (logits [batch, answers], attention [batch, hops, sentences]) of a batch
            with `label`, int [batch], and `mask`.
    """

    def cross_entropy(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        (logits, _), extra = model(params, extra, batch, key, train)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        each = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
        right = logits.argmax(-1) == batch["label"]
        return Out(mean(each, batch["mask"]), {"accuracy": mean(right, batch["mask"])}, extra)

    return cross_entropy


class StoryText(NamedTuple):
    """A story with the text from which it was read.

    Attributes:
        story: its sentences and the question.
        context: the text.
        spans: characters [start, end) of each sentence in the text.
    """

    story: Story
    context: str
    spans: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class StoryOptions:
    """Flags of `dlcore predict` for stories."""

    question: str = ""
    """a question for every story: files, --text and standard input then are plain texts"""


@dataclasses.dataclass(frozen=True)
class StoryPredictor:
    """Answers questions on stories, with the sentence that was attended to most.

    Attributes:
        model: computes logits and attention.
        encoder: of stories.
        options: flags of `dlcore predict`.
    """

    model: Logits
    encoder: Encoder
    options: StoryOptions
    takes = f"{own.TAKES}; or .txt files of bAbI's format"

    @property
    def reads(self) -> str:
        """ "texts" where the option `question` is set, else "table", see `Predictor`."""
        return "texts" if self.options.question else "table"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[StoryText | UsageError]:
        """Reads questions on stories from files, then from strings.

        Args:
            files: .txt files in bAbI's format, whose answers are not read; .json files in SQuAD's;
                other files of lines of JSON, each an object with "question" and "context". With the
                option `question` plain texts, the contexts of that question.
            text: strings of one or more such lines, or with `question` plain texts.

        Returns:
            The stories, and in place of one that cannot be read a UsageError that names its line.

        Raises:
            UsageError: a file cannot be read or has another format.
        """
        found, question = list[StoryText | UsageError](), self.options.question
        for file in files:
            if not question and babi_files.is_one(file):
                found += [joined(story) for story in babi.of_file(file)]
            else:
                found += _texts(own.unanswered([file], [], question))
        return found + _texts(own.unanswered([], text, question))

    def item(self, value: object) -> StoryText:
        """Converts a mapping with `question` and `context` to a story.

        Raises:
            UsageError: it is not a mapping, or one of the two is missing, blank or not a string.
        """
        return story_text(*own.of_mapping(value))

    def batch(self, state: State, items: Sequence[StoryText]) -> list[Answer]:
        """Answers questions on stories.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"question", "answer", "probability", "evidence", "start", "end", "unknown_words",
            "sentences_left_out", "words_left_out"}, an `Evidence`) of each. The evidence is the
            sentence with the greatest attention of any hop, context[start:end], which the
            `Evidence` marks in the story. The network reads the question and at most the last
            `encoder.sentences` sentences of the story; "sentences_left_out" is the number of the
            others. Of each of these texts it reads the first `encoder.length` words;
            "words_left_out" is the number of the others.
            "unknown_words" are the words of what is read that `encoder.vocabulary` lacks, sorted.
        """
        stories = [each.story for each in items]
        batch = {**self.encoder.encode(stories), "row": np.arange(len(items), dtype=np.int32)}
        logits, attention = jax.device_get(self._run(state, batch))
        return [self._answer(*each) for each in zip(items, logits, attention, strict=True)]

    def _answer(self, item: StoryText, logits: np.ndarray, attention: np.ndarray) -> Answer:
        p = np.exp(logits - logits.max())
        answer, question = self.encoder.answers[int(p.argmax())], item.story.question
        start, end = item.spans[attended(item.story, attention)]
        texts = (*item.story.sentences[-self.encoder.sentences :], question)
        known, length = {*self.encoder.vocabulary}, self.encoder.length
        split = [words(text) for text in texts]
        record = {
            "question": question,
            "answer": answer,
            "probability": float(p.max() / p.sum()),
            "evidence": item.context[start:end],
            "start": start,
            "end": end,
            "unknown_words": sorted({word for each in split for word in each[:length]} - known),
            "sentences_left_out": len(item.story.sentences) + 1 - len(texts),
            "words_left_out": sum(len(each[length:]) for each in split),
        }
        spans = (Span(start, end, "attention", "prompt"),)
        return record, Evidence(f"{question} {answer}", item.context, spans)

    def line(self, answer: Mapping[str, object]) -> str:
        """Formats an answer: question, answer, probability, evidence, and what was not read."""
        said = f"{answer['question']}  {answer['answer']}  {answer['probability']:.3f}"
        unknown = answer["unknown_words"]
        assert isinstance(unknown, list)
        note = f"  (unknown: {', '.join(unknown)})" if unknown else ""
        if sentences := answer["sentences_left_out"]:
            note += f"  (the first sentences were left out: {sentences})"
        if left_out := answer["words_left_out"]:
            note += f"  (the last words of long sentences were left out: {left_out})"
        return f"{said}  {answer['evidence']}{note}"

    @functools.cached_property
    def _run(self) -> Callable[[State, Mapping[str, Any]], tuple[Array, Array]]:
        return jax.jit(
            lambda state, batch: self.model(state.params, state.extra, batch, None, False)[0]
        )


def _texts(found: Sequence[tuple[str, str] | UsageError]) -> list[StoryText | UsageError]:
    return [each if isinstance(each, UsageError) else story_text(*each) for each in found]


def story_text(question: str, context: str) -> StoryText:
    """Splits a text into the sentences of a story; a line end ends a sentence too."""
    spans = [
        (line.start() + start, line.start() + end)
        for line in re.finditer(r"[^\r\n]+", context)
        for start, end in sentences(line.group())
    ]
    story = Story(0, tuple(context[start:end] for start, end in spans), question, "")
    return StoryText(story, context, tuple(spans))


def joined(story: Story) -> StoryText:
    """Joins the sentences of a story to a text, one per line."""
    starts = np.cumsum([0, *(len(each) + 1 for each in story.sentences)]).tolist()
    pairs = zip(starts, story.sentences, strict=False)
    spans = tuple((start, start + len(each)) for start, each in pairs)
    return StoryText(story, "\n".join(story.sentences), spans)


def attended(story: Story, attention: np.ndarray) -> int:
    """Finds the sentence with the greatest attention of any hop.

    Args:
        story: with at least one sentence.
        attention: [hops, sentences], where index 0 is the story's last sentence.

    Returns:
        The index in `story.sentences`.
    """
    kept = min(len(story.sentences), attention.shape[-1])
    return len(story.sentences) - 1 - int(attention.max(0)[:kept].argmax())


def predictor(model: Logits, facts: Facts) -> StoryPredictor:
    """Returns the predictor of a reader of stories.

    Args:
        model: computes logits and attention, see `loss`.
        facts: of the training data, see `encoder_of`.
    """
    return StoryPredictor(model, encoder_of(facts), StoryOptions())


def encoder_of(facts: Mapping[str, Any]) -> Encoder:
    """Returns the encoder of stories of the training data.

    Args:
        facts: `vocabulary`, `answers`, `sentences` and `length`.
    """
    words, answers = (tuple(facts[name]) for name in ("vocabulary", "answers"))
    return Encoder(words, answers, facts["sentences"], facts["length"])


def samples(
    found: StoryPredictor, test: Stories, count: int = 20, rows: int = 256
) -> Callable[[State, Array], list[Sample]]:
    """Shows errors by task, calibration, and stories with the sentence that got most attention.

    Args:
        found: answers the stories.
        test: the stories.
        count: largest number of stories that are shown, evenly spaced over `test`.
        rows: batch size at which all of `test` is answered for the table and the diagram.

    Returns:
        (state, key) -> a table of the errors of all tasks, with the published ones of `MEMN2N_1K`
        and `ENTNET_10K`; a reliability diagram of the answers' probabilities; then the stories, in
        which the sentence is marked as right where it is a supporting fact. The key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        index = np.unique(np.linspace(0, len(test) - 1, count).astype(int))
        stories = [test.stories[i] for i in index]
        shown: list[Sample] = []
        items = [joined(story) for story in stories]
        for item, (answer, evidence) in zip(items, found.batch(state, items), strict=True):
            story = item.story
            assert isinstance(evidence, Evidence)
            right = answer["answer"] == story.answer
            title = f"Task {story.task}: {evidence.title}"
            title += "" if right else f" (true: {story.answer})"
            supporting = {item.spans[i][0] for i in story.supporting}
            mark = "right" if answer["start"] in supporting else "wrong"
            spans = tuple(dataclasses.replace(span, colour=mark) for span in evidence.spans)
            shown.append(dataclasses.replace(evidence, title=title, spans=spans))
        return [*_scores(found, test, state, rows), *shown]

    return draw


def _scores(found: StoryPredictor, test: Stories, state: State, rows: int) -> list[Sample]:
    right, probability = [], []
    for first in range(0, len(test), rows):
        index = np.minimum(np.arange(first, first + rows), len(test) - 1)
        logits, _ = jax.device_get(found._run(state, test.gather(index)))
        kept = logits[: len(test) - first].astype(np.float64)
        right.append(kept.argmax(-1) == test.arrays["label"][index][: len(kept)])
        probability.append(1 / np.exp(kept - kept.max(-1, keepdims=True)).sum(-1))
    answered = np.concatenate(right)
    table = story_scores.table(test.arrays["task"], answered)
    title = "Reliability of the probability of answers"
    axes = "probability of the answer", "fraction of right answers"
    return [table, diagram(title, *axes, {"model": (np.concatenate(probability), answered)})]
