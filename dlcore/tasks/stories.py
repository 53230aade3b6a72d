"""Questions on stories: error of each task of bAbI, tasks solved, and the sentences attended to."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import Array

from dlcore.data.facts import Facts
from dlcore.data.own import questions as own
from dlcore.data.sets.babi import Encoder, Stories, Story, words
from dlcore.metrics.known import Metric
from dlcore.samples import Sample, Span, Table
from dlcore.tasks.question_answers import Evidence
from dlcore.tasks.question_baselines import sentences
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean

SOLVED = 0.05  # a task is solved where the error is less
# Errors in percent of tasks 1 to 20, as their papers give them: MemN2N with 3 hops and position
# encoding on 1,000 questions (Sukhbaatar et al. 2015, by the README of jojonki/MemoryNetworks), and
# EntNet on 10,000 (Henaff et al. 2017).
MEMN2N_1K = (
    *(0.1, 21.6, 64.2, 3.8, 14.1, 7.9, 21.6, 12.6, 23.3, 17.4),
    *(4.3, 0.3, 9.9, 1.8, 0.0, 52.1, 50.1, 13.6, 87.4, 0.0),
)
ENTNET_10K = (
    *(0.0, 0.1, 4.1, 0.0, 0.3, 0.2, 0.0, 0.5, 0.1, 0.6),
    *(0.3, 0.0, 1.3, 0.0, 0.0, 0.2, 0.5, 0.3, 2.3, 0.0),
)


def inputs(batch: Batch, key: Array | None, train: bool) -> tuple[Array, Array]:
    """Returns `story` and `question`; the `inputs` of a `Model`."""
    return batch["story"], batch["question"]


def loss(model: Logits) -> Loss:
    """Returns the cross-entropy of the answer, in nats; metric: `accuracy`.

    Args:
        model: computes (logits [batch, answers], attention [batch, hops, sentences]) of a batch
            with `label`, int [batch], and `mask`.
    """

    def cross_entropy(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        (logits, _), extra = model(params, extra, batch, key, train)
        each = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
        right = logits.argmax(-1) == batch["label"]
        return Out(mean(each, batch["mask"]), {"accuracy": mean(right, batch["mask"])}, extra)

    return cross_entropy


def errors(task: np.ndarray, right: np.ndarray) -> dict[int, float]:
    """Computes the error of each task.

    Args:
        task: number of the task of each question, int [N].
        right: whether it was answered correctly, bool [N].

    Returns:
        {task: fraction of its questions that were answered wrongly}.
    """
    return {int(each): float(1 - right[task == each].mean()) for each in np.unique(task)}


def evaluators(
    model: Logits, validation: Stories, test: Stories, tasks: Sequence[int]
) -> list[Evaluator]:
    """Evaluates the mean error over tasks, the number of solved tasks, and the error of each task.

    Metrics: `mean_error`; `tasks_solved`, those with an error below 5 %; on test also
    `error_task_NN`. Errors are fractions in [0, 1].

    Args:
        model: computes logits and attention, see `loss`.
        validation: scored during training.
        test: scored at the end.
        tasks: numbers of the tasks.
    """

    def collects(state: State, batch: Batch) -> dict[str, Array]:
        (logits, _), _ = model(state.params, state.extra, batch, None, False)
        return {"right": logits.argmax(-1) == batch["label"], "task": batch["task"]}

    def brief(collected: Collected, split: str) -> dict[str, float]:
        each = errors(collected["task"], collected["right"])
        solved = sum(error < SOLVED for error in each.values())
        return {"mean_error": float(np.mean([*each.values()])), "tasks_solved": float(solved)}

    def full(collected: Collected, split: str) -> dict[str, float]:
        each = errors(collected["task"], collected["right"])
        return {
            **brief(collected, split),
            **{f"error_task_{task:02d}": error for task, error in each.items()},
        }

    declared = {"mean_error": Metric("lower"), "tasks_solved": Metric("higher")}
    each = {f"error_task_{task:02d}": Metric("lower") for task in tasks}
    return [
        Scored({"validation": validation}, collects, brief, declared, "eval"),
        Scored({"test": test}, collects, full, {**declared, **each}, "end"),
    ]


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
    """Flags of `dlcore predict` for stories: none."""


@dataclasses.dataclass(frozen=True)
class StoryPredictor:
    """Answers questions on stories, with the sentence that was attended to most.

    Attributes:
        model: computes logits and attention.
        encoder: of stories.
        options: flags of `dlcore predict`: none.
    """

    model: Logits
    encoder: Encoder
    options: StoryOptions
    reads = "table"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[StoryText]:
        """Reads JSON lines {"question": ..., "context": ...}; the context is a story.

        Raises:
            UsageError: a line that is no such object, with its file and number.
        """
        return [story_text(question, context) for question, context in own.unanswered(files, text)]

    def item(self, value: object) -> StoryText:
        """Converts a mapping with `question` and `context` to a story.

        Raises:
            UsageError: another value, or an empty text.
        """
        return story_text(*own.of_mapping(value))

    def batch(self, state: State, items: Sequence[StoryText]) -> list[Answer]:
        """Answers questions on stories.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"question", "answer", "probability", "evidence", "start", "end", "unknown_words",
            "sentences_left_out"}, the marked story) of each. The evidence is the sentence with the
            greatest attention of any hop, context[start:end]. Unknown words do not occur in
            training; "sentences_left_out" is the number of first sentences of a long story that
            the network does not read.
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
        known = {*self.encoder.vocabulary}
        record = {
            "question": question,
            "answer": answer,
            "probability": float(p.max() / p.sum()),
            "evidence": item.context[start:end],
            "start": start,
            "end": end,
            "unknown_words": sorted({w for text in texts for w in words(text)} - known),
            "sentences_left_out": len(item.story.sentences) + 1 - len(texts),
        }
        spans = (Span(start, end, "attention", "prompt"),)
        return record, Evidence(f"{question} {answer}", item.context, spans)

    def line(self, answer: Mapping[str, object]) -> str:
        """Formats an answer: question, answer, probability, evidence, and unknown words if any."""
        said = f"{answer['question']}  {answer['answer']}  {answer['probability']:.3f}"
        unknown = answer["unknown_words"]
        assert isinstance(unknown, list)
        note = f"  (unknown: {', '.join(unknown)})" if unknown else ""
        return f"{said}  {answer['evidence']}{note}"

    @functools.cached_property
    def _run(self) -> Callable[[State, Mapping[str, Any]], tuple[Array, Array]]:
        return jax.jit(
            lambda state, batch: self.model(state.params, state.extra, batch, None, False)[0]
        )


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
    """Shows stories with the sentence attended to, and a table of errors by task.

    Args:
        found: answers the stories.
        test: the stories.
        count: largest number of stories that are shown, evenly spread.
        rows: stories per batch of the table.

    Returns:
        (state, key) -> the table, with the published errors of `MEMN2N_1K` and `ENTNET_10K`, then
        the stories; the sentence is marked as right where it is a supporting fact.
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
        return [_table(found, test, state, rows), *shown]

    return draw


def _table(found: StoryPredictor, test: Stories, state: State, rows: int) -> Table:
    right = []
    for first in range(0, len(test), rows):
        index = np.minimum(np.arange(first, first + rows), len(test) - 1)
        logits, _ = jax.device_get(found._run(state, test.gather(index)))
        right.append((logits.argmax(-1) == test.arrays["label"][index])[: len(test) - first])
    each = errors(test.arrays["task"], np.concatenate(right))
    published = "MemN2N, 1k, paper", "EntNet, 10k, paper"
    lines = [
        (f"{task}", round(100 * error, 1), MEMN2N_1K[task - 1], ENTNET_10K[task - 1])
        for task, error in each.items()
    ]
    return Table("Error of each task in percent", ("task", "error", *published), tuple(lines))
