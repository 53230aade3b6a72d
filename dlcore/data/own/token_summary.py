"""Summarises tokens that `dlcore prepare text` has written."""

from __future__ import annotations

from pathlib import Path

from dlcore.data import token_shards, tokenizer
from dlcore.data.own.summary import CHARACTERS, Summary, short
from dlcore.errors import UsageError
from dlcore.samples import Table


def summary(path: Path) -> Summary:
    """Verifies the checksums of a folder of tokens, and counts documents and tokens.

    Args:
        path: see `dlcore.data.token_shards`.

    Returns:
        The summary; the first file with a wrong checksum is its only problem.

    Raises:
        UsageError: the folder does not hold tokens, or its facts are damaged.
    """
    facts = token_shards.read_facts(path)
    used = tokenizer.from_facts(facts["tokenizer"])
    problems = []
    try:
        token_shards.verify(path, facts)
    except UsageError as error:
        problems.append(str(error))
    splits = facts["splits"]
    counts = [(name, each["documents"], each["tokens"]) for name, each in splits.items()]
    first = [token_shards.tokens_of(path, facts, split).read(0, CHARACTERS) for split in splits]
    begin = [(name, short(used.decode(part))) for name, part in zip(splits, first, strict=True)]
    kind = facts["tokenizer"]["kind"].replace("_", " ")
    return Summary(
        path,
        (f"tokens of {kind}, from a vocabulary of {facts['vocabulary']:,}",),
        tuple(problems),
        (Table("Tokens", ("split", "documents", "tokens"), tuple(counts)),),
        (Table("Each split begins with", ("split", "text"), tuple(begin)),),
        f"dlcore train gpt_tiny_shakespeare --data {path}",
    )
