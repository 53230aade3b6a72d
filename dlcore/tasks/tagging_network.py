"""Builds the network of a tagger from the facts of its data."""

from __future__ import annotations

from dlcore.data.facts import Facts
from dlcore.models.encoder import Size as EncoderSize
from dlcore.models.rnn import Cell
from dlcore.models.tagger import Size, Tagger
from dlcore.tasks.tagging import impossible

ENCODER = EncoderSize(layers=2, heads=4, width=128, dropout=0.1)
"""The encoder of `bert_english`."""


def tagger(
    facts: Facts,
    widths: tuple[int, int, int],
    layers: int,
    cell: Cell,
    rates: tuple[float, float],
    crf: bool,
    encoder: EncoderSize | None = None,
    intents: bool = False,
) -> Tagger:
    """Returns the network of a tagger, which adds -30 to the scores of `impossible` transitions.

    Args:
        facts: of the training data: `words`, `characters`, `classes`, `intents` and `spans`; with
            an encoder also `vocabulary`.
        widths: number of features of a word's embedding, of a word's characters, and of the
            recurrent network in each direction.
        layers, cell, crf, encoder: as of `dlcore.models.tagger.Size`.
        rates: dropout rate, and the rate at which words are replaced by the unknown word in
            training.
        intents: whether the intents of sentences are predicted too.
    """
    word_width, character_features, width = widths
    dropout, word_dropout = rates
    size = Size(
        words=2 + len(facts.words),
        characters=2 + len(facts.characters),
        tags=len(facts.classes),
        intents=len(facts.intents) if intents else 0,
        word_width=word_width,
        character_features=character_features,
        width=width,
        layers=layers,
        cell=cell,
        dropout=dropout,
        word_dropout=word_dropout,
        crf=crf,
        vocabulary=facts.vocabulary if encoder else 0,
        encoder=encoder,
    )
    return Tagger(size, impossible(facts))
