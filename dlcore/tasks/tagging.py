"""Tagging of words by a linear-chain CRF: loss, decoding, spans with scores, intents, metrics."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dlcore.data.checks import index_below
from dlcore.data.facts import Facts
from dlcore.data.splits import Splits
from dlcore.data.tag_schemes import Span, spans_of
from dlcore.kernels import crf
from dlcore.models.tagger import Chain
from dlcore.tasks.tagging_scores import Prediction, baselines, declared, majority, scored
from dlcore.train.evaluators import Collected, Evaluator, OfState, Schedule, Scored
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean

# as `train.model.Logits`, with a chain for logits
Chains = Callable[[Params, Extra, Batch, Array | None, bool], tuple[Chain, Extra]]


def inputs(batch: Batch, key: Array | None, train: bool) -> tuple[Array, ...]:
    """Returns the arrays of a batch that a tagger reads; the `inputs` of a `Model`.

    They are `words` [batch, length], `characters` [batch, length, word length] and `length`
    [batch], then `tokens` and `first` where the batch has them; the key is not used.
    """
    names = ("words", "characters", "length", "tokens", "first")
    return tuple(batch[name] for name in names if name in batch)


def impossible(facts: Facts) -> tuple[tuple[bool, ...], ...]:
    """Returns element [i][j]: whether BIO tag j cannot follow tag i; () if tags mark no spans."""
    if not facts.spans:
        return ()
    rows = []
    for before in facts.classes:
        allowed = ("", f"I-{before[2:]}")
        rows.append(tuple(tag[:2] == "I-" and tag not in allowed for tag in facts.classes))
    return tuple(rows)


def continues(facts: Facts) -> np.ndarray:
    """Returns bool [tags, tags]; [i, j]: whether tag j continues the span of a preceding tag i.

    All elements are False where tags mark no spans.
    """
    tags = facts.classes
    return np.array(
        [[after[:1] == "I" and before[2:] == after[2:] for after in tags] for before in tags]
    ) & bool(facts.spans)


def chain_of(chain: Chain) -> tuple[Array, Array, Array, Array, Array]:
    """Returns emissions, transitions, start, end and length for `kernels.crf`, float32 or wider."""
    dtype = jnp.promote_types(chain.emissions.dtype, jnp.float32)
    emissions, transitions, start, end = (x.astype(dtype) for x in chain[:4])
    return emissions, transitions, start, end, chain.length


def loss(model: Chains, intent_weight: float = 1.0) -> Loss:
    """Returns the negative log-likelihood of a sentence's tags, and of its intent, in nats.

    It is the mean over the rows of a batch, not over words; a row has one sentence, or a part of
    one that is longer than a row. In evaluation rows with a tag or intent that training lacks (-1)
    are left out of it. Metric, in evaluation only: `accuracy`, of single words by the most probable
    sequence of tags, which is wrong where the tag is -1. Accuracy of intents: see `evaluators`.

    Args:
        model: computes a `Chain` of a batch with `tags` int [batch, length], `length` int [batch],
            `mask` float [batch], and `label` int [batch] where the model has intents.
        intent_weight: factor of the intent's cross-entropy.
    """

    def negative_log_likelihood(
        params: Params, extra: Extra, batch: Batch, key: Array, train: bool
    ) -> Out:
        chain, extra = model(params, extra, batch, key, train)
        index_below("tags", chain.emissions.shape[-1], least=-1)
        given = chain_of(chain)
        nats = crf.crf_loss(*given, batch["tags"])
        metrics, rows = {}, batch["mask"]
        if chain.intents.shape[-1]:
            index_below("label", chain.intents.shape[-1], least=-1)
            logits = chain.intents.astype(nats.dtype)
            xent = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
            nats = nats + intent_weight * xent
        if not train:
            position = jnp.arange(batch["tags"].shape[1])[None]
            weight = (position < batch["length"][:, None]) * batch["mask"][:, None]
            metrics["accuracy"] = mean(crf.viterbi(*given) == batch["tags"], weight)
            rows = rows * (batch["tags"] >= 0).all(1)
            if chain.intents.shape[-1]:
                rows = rows * (batch["label"] >= 0)
        return Out(mean(nats, rows), metrics, extra)

    return negative_log_likelihood


@dataclasses.dataclass(frozen=True, eq=False)
class Decoder:
    """Tags sentences with a trained model.

    Attributes:
        model: computes a `Chain`.
        facts: of the training data: `classes`, `spans`, `intents`, `length`.
    """

    model: Chains
    facts: Facts

    def decode(self, params: Params, extra: Extra, batch: Batch) -> dict[str, Array]:
        """Computes the most probable sequence of tags of each row of a batch.

        Args:
            params, extra: of all models, by name.
            batch: with the arrays of `inputs`.

        Returns:
            `tags` int32 [batch, length]; `probability` [batch, length], the marginal of each tag;
            `parts` [batch, length, 2], see `crf.span_scores`; `intents` [batch, intents],
            probabilities, with no columns where the model has no intents.
        """
        chain, _ = self.model(params, extra, batch, None, False)
        given = chain_of(chain)
        tags = crf.viterbi(*given)
        marginals = crf.marginals(*given)
        return {
            "tags": tags,
            "probability": jnp.take_along_axis(marginals, tags[..., None], -1)[..., 0],
            "parts": crf.span_scores(*given, tags, jnp.asarray(continues(self.facts))),
            "intents": jax.nn.softmax(chain.intents.astype(given[0].dtype), -1),
        }

    def predictions(
        self, found: Mapping[str, np.ndarray], lengths: Sequence[int]
    ) -> list[Prediction]:
        """Joins the rows of sentences; a sentence longer than a row has several.

        Args:
            found: what `decode` returned for consecutive rows, on the host.
            lengths: number of words of each sentence.

        Returns:
            A `Prediction` of each sentence. The probabilities of intents are means over its rows;
            the score of a span over several rows is the product of its parts.
        """
        size, row = self.facts.length, 0
        result: list[Prediction] = []
        for count in lengths:
            rows = slice(row, row + -(-count // size))
            row = rows.stop
            numbers = found["tags"][rows].reshape(-1)[:count]
            tags = [self.facts.classes[i] for i in numbers]
            probability = found["probability"][rows].reshape(-1)[:count]
            spans = spans_of(tags) if self.facts.spans else []
            scores = [_score(span, found["parts"][rows], size) for span in spans]
            intent, certain = "", 0.0
            if self.facts.intents and count:
                p = found["intents"][rows].mean(0)
                intent, certain = self.facts.intents[int(p.argmax())], float(p.max())
            result.append(Prediction(tags, probability, spans, scores, intent, certain))
        return result


def _score(span: Span, parts: np.ndarray, size: int) -> float:
    """The probability of a span; of one over several rows the product over them."""
    total, start = 0.0, span.start
    while start < span.end:
        stop = min(span.end, (start // size + 1) * size)
        row = parts[start // size]
        total += float(row[start % size, 0] + row[(stop - 1) % size, 1])
        start = stop
    return float(np.exp(min(total, 0.0)))


# cached, since several calls with one model share its compiled function
@functools.lru_cache(maxsize=1)
def compiled(
    decoder: Decoder,
) -> Callable[[Params, Extra, Mapping[str, np.ndarray]], dict[str, Array]]:
    """Returns `decoder.decode` compiled: (params, extra, batch) -> its arrays."""
    return jax.jit(decoder.decode)


def best(facts: Facts) -> str:
    """Returns the metric by which `Experiment.best` chooses parameters of a tagger of spans.

    It is "validation/sentence_accuracy" where sentences have intents, else "validation/f1".
    """
    return f"validation/{'sentence_accuracy' if facts.intents else 'f1'}"


def evaluators(decoder: Decoder, splits: Splits) -> list[Evaluator]:
    """Evaluates `scored` on validation during training, and on test at the end.

    At the end also `majority` is evaluated on test.

    Args:
        decoder: tags the sentences.
        splits: `TaggedSentences`.
    """
    facts = decoder.facts

    def made(split: str, every: Schedule) -> Evaluator:
        source = splits[split]

        def collect(state: State, batch: Batch) -> dict[str, Array]:
            return decoder.decode(state.params, state.extra, batch)

        def score(collected: Collected, split: str) -> dict[str, float]:
            lengths = [len(each.words) for each in source.sentences]  # type: ignore[attr-defined]
            predictions = decoder.predictions(collected, lengths)
            return scored(predictions, source, facts)  # type: ignore[arg-type]

        return Scored({split: source}, collect, score, declared(facts), every)

    def baseline(state: State) -> dict[str, float]:
        return majority(splits.train, splits.test, facts)

    return [
        made("validation", "eval"),
        made("test", "end"),
        OfState("test", baseline, baselines(facts), "end"),
    ]
