"""A vocabulary of whole words."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence

from dlcore.data.tokens import Subwords

UNKNOWN = "[unk]"


def words(texts: Iterable[str], rarest: int, specials: Sequence[str]) -> Subwords:
    """Returns a tokenizer whose tokens are whole words: runs of characters between whitespace.

    Case is kept. Unlike byte pairs, it loses words that are not in the vocabulary, and
    `Subwords.bytes` is not valid for it.

    Args:
        texts: the training texts.
        rarest: smallest number of occurrences of a word in the vocabulary; rarer words become
            `UNKNOWN`.
        specials: names of the special tokens.

    Returns:
        The tokenizer: `specials` have the first indices, then `UNKNOWN`, which counts as a special
        token, then the words, sorted.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    counts = collections.Counter(word for text in texts for word in text.split())
    names = [*specials, UNKNOWN]
    known = sorted(word for word, n in counts.items() if n >= rarest)
    # with a blank, so that no word of a text is a special token
    index = {word: i for i, word in enumerate([*(f" {name}" for name in names), *known])}
    tokenizer = Tokenizer(models.WordLevel(index, unk_token=f" {UNKNOWN}"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Subwords(tokenizer.to_str(), tuple(names))
