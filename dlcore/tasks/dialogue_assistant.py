"""An assistant, which answers in dialogues with a GPT; for `dlcore predict` and `dlcore chat`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveFloat, Probability, Range
from dlcore.data.own import dialogues
from dlcore.data.own.dialogues import Message
from dlcore.data.own.prepare_text import END
from dlcore.data.sets import dialogue_answers
from dlcore.data.sets.dialogues import TURN_END
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError
from dlcore.models.decoding import gpt_decoder
from dlcore.models.gpt import Size
from dlcore.models.gpt_batch import GREEDY, Decoding, Generated, generate_batch, left_padded
from dlcore.samples import Text
from dlcore.sharding import Tree
from dlcore.train.predictor import Answer
from dlcore.train.step import Params, State
from dlcore.train.text_model import TextModel


@dataclasses.dataclass(frozen=True)
class Assistant:
    """Generates answers to tokens of dialogues with a GPT (`generate`), and decodes them (`text`).

    Attributes:
        size: of the GPT.
        tokens: its tokenizer, with the special tokens of `data.sets.dialogues`.
        longest: largest number of tokens of an answer.
        decoding: how tokens are chosen.
        model: the name of the GPT's parameters in the state.
        merged: (params of all models) -> parameters of the GPT, where only a part of it was tuned;
            None: those of `model`.

    Raises:
        UsageError: answers that leave no space for a message in the GPT's context.
    """

    size: Size
    tokens: Subwords
    longest: int
    decoding: Decoding = GREEDY
    model: str = "net"
    merged: Callable[[Params], Tree] | None = None

    def __post_init__(self) -> None:
        if self.longest >= self.size.context:
            raise UsageError(
                f"answers of {self.longest} tokens leave no space for a message in a context of"
                f" {self.size.context}: give a smaller --longest, or a larger --context"
            )

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        return self.tokens.special(TURN_END)

    def generate(self, state: State, prompt: Array, padding: Array, key: Array) -> Generated:
        """Generates answers to prompts, padded at the left.

        Args:
            state: trained parameters.
            prompt: tokens, int32 [batch, length].
            padding: number of padding tokens at the left of each row, int32 [batch].
            key: random key of each row, so that an answer does not depend on its place in a batch.

        Returns:
            Tokens int32 [batch, longest], lengths int32 [batch] without the end token, and
            log-probabilities [batch, longest] in nats, see `models.gpt_batch.Generated`.

        Raises:
            ValueError: `length` + `longest` tokens do not fit into the GPT's context.
        """
        keys = jnp.stack([key] * len(prompt))
        params = state.params[self.model] if self.merged is None else self.merged(state.params)
        return generate_batch(
            self.size, params, prompt, padding, keys, self.longest, self.end, self.decoding
        )

    def text(self, tokens: np.ndarray) -> str:
        """Decodes the tokens of an answer up to its first end token, without blanks around it."""
        ends = np.flatnonzero(tokens == self.end)
        kept = tokens[: ends[0]] if len(ends) else tokens
        return self.tokens.decode(np.minimum(kept, len(self.tokens) - 1)).strip()


@dataclasses.dataclass(frozen=True)
class AnswerOptions:
    """Flags of `dlcore predict` for an assistant."""

    temperature: NonNegativeFloat = 0.0
    """divides the logits; at 0 the likeliest token is taken"""
    top_k: NonNegativeInt = 0
    """tokens are drawn from so many likeliest ones; 0: from all"""
    top_p: Annotated[float, Range(0, 1, "(]")] = 1.0
    """tokens are drawn from the fewest likeliest ones whose probabilities sum to at least this"""
    min_p: Probability = 0.0
    """tokens are drawn from those at least this times as likely as the likeliest; 0: all"""
    repetition_penalty: PositiveFloat = 1.0
    """divides positive logits of tokens that stood in the text, multiplies others; 1: none"""
    min_tokens: NonNegativeInt = 0
    """number of tokens before which an answer does not end"""
    shorten_from: NonNegativeInt = 0
    """number of tokens after which --shorten-by applies"""
    shorten_by: PositiveFloat = 1.0
    """raises the logit of the end by its magnitude times this to the power of the tokens since
    --shorten-from, less 1; above 1 answers are shorter; 1: unchanged"""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 1
    """of the draws"""


class Prompt(NamedTuple):
    """A message to answer, as tokens.

    Attributes:
        text: the message, the last one of its dialogue.
        tokens: of the dialogue up to the one that begins the answer, int32 [n].
        left_out: number of tokens of earlier messages for which the model has no space.
    """

    text: str
    tokens: np.ndarray
    left_out: int = 0


@dataclasses.dataclass(frozen=True)
class AnswerPredictor:
    """Answers messages, one per line, each as the first one of a dialogue; or whole dialogues.

    Attributes:
        assistant: generates the answers.
        options: flags of `dlcore predict`; all but `seed` replace the same fields of
            `assistant.decoding`, so that answers are greedy by default.
    """

    assistant: Assistant
    options: AnswerOptions = dataclasses.field(default_factory=AnswerOptions)
    reads = "lines"
    takes_messages = True
    takes = (
        "text files, tables with `text`, JSON lines with `text` or `messages`, --text TEXT, or -"
        " for lines of text in standard input"
    )

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[Prompt]:
        """Encodes messages, each as the first one of a dialogue; `files` is not used.

        Raises:
            UsageError: an empty message, or one that leaves no space for an answer.
        """
        return [self._encoded([Message("user", each)]) for each in text]

    def in_file(self, file: Path, problems: list[str]) -> Iterable[tuple[int, object]] | None:
        """Reads the dialogues of a .jsonl file whose lines have `messages`; None for other files.

        Args:
            file, problems: as of `own.dialogues.messages_in`.
        """
        if file.suffix.lower() != ".jsonl" or not dialogues.has(file):
            return None
        return dialogues.messages_in(file, problems)

    def item(self, value: object) -> Prompt:
        """Encodes a dialogue up to the last message of the user, which is answered.

        Args:
            value: the messages, see `own.dialogues.context`. Where they are too long, the first
                tokens are left out, as in evaluation.

        Raises:
            UsageError: faulty messages, or a last one that leaves no space for an answer.
        """
        return self._encoded(dialogues.context(value))

    def _encoded(self, context: Sequence[Message]) -> Prompt:
        space, last = self.assistant.size.context - self.assistant.longest, context[-1]
        if not last.content.strip():
            raise UsageError("an empty message has no answer: write something")
        alone, whole = (
            dialogue_answers.prompt(self.assistant.tokens, each, sys.maxsize)
            for each in ([last], context)
        )
        if len(alone) > space:
            raise UsageError(
                f"a message of {len(alone)} tokens, and this model reads {space}: shorten it"
            )
        return Prompt(last.content, whole[-space:], max(0, len(whole) - space))

    def batch(self, state: State, items: Sequence[Prompt]) -> list[Answer]:
        """Answers a batch of messages.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"prompt", "text", "log_probability", "log_probabilities"}, the text) of each: the
            message, the answer, and the log-probability of the whole answer and of each of its
            tokens, also of the end token, in nats, always at temperature 1 and without restrictions
            or penalty (`models.gpt_batch.Generated`). Where the first tokens of a dialogue were
            left out, also "tokens_left_out", their number.

        Raises:
            UsageError: `--shorten-from` without `--shorten-by`.
        """
        o = self.options
        if o.shorten_from and o.shorten_by == 1:
            raise UsageError("--shorten-from changes nothing alone: give --shorten-by, too")
        chosen = {name: value for name, value in vars(o).items() if name != "seed"}
        how = dataclasses.replace(self.assistant.decoding, **chosen)
        assistant = dataclasses.replace(self.assistant, decoding=how)
        space = assistant.size.context - assistant.longest
        prompt, padding = left_padded([each.tokens for each in items], space)
        key = jax.random.key(o.seed)
        made = assistant.generate(state, jnp.asarray(prompt), jnp.asarray(padding), key)
        answers: list[Answer] = []
        for each, row, length, row_logp in zip(items, *map(np.asarray, made), strict=True):
            text, logp = assistant.text(row), row_logp[: length + 1].tolist()  # with the end's
            record = {"prompt": each.text, "text": text}
            record |= {"log_probability": sum(logp), "log_probabilities": logp}
            if each.left_out:
                record["tokens_left_out"] = each.left_out
            answers.append((record, Text("Answer", text, each.text)))
        return answers

    def line(self, answer: Mapping[str, object]) -> str:
        """Formats an answer: its text, and the number of tokens that were left out, if any."""
        left_out = answer.get("tokens_left_out")
        note = f"  (the dialogue's first {left_out} tokens were left out)" if left_out else ""
        return f"{answer['text']}{note}"


def text_model(assistant: Assistant) -> TextModel:
    """Returns the text model by which `dlcore chat` converses with an assistant.

    Args:
        assistant: its GPT, parameters and tokenizer are used, with the tokens of the chat template.
    """
    special = assistant.tokens.special
    return TextModel(
        assistant.model,
        gpt_decoder(assistant.size),
        assistant.tokens,
        start=special(END),
        end=special(TURN_END),
        before=(special("<|user|>"),),
        after=(special(TURN_END), special("<|assistant|>")),
        merged=assistant.merged,
    )


def predictor(assistant: Assistant) -> AnswerPredictor:
    """Returns the predictor of an assistant, which answers lines of text.

    Args:
        assistant: generates the answers.
    """
    return AnswerPredictor(assistant)
