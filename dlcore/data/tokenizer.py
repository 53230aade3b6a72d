"""Tokenizers as facts: plain data that give the same tokenizer again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlcore.data.tokens import Bytes, Subwords, Vocabulary
from dlcore.errors import UsageError

Tokenizer = Subwords | Vocabulary | Bytes


def to_facts(tokenizer: Tokenizer) -> dict[str, Any]:
    """Plain JSON from which `from_facts` makes the tokenizer again."""
    if isinstance(tokenizer, Vocabulary):
        return {"kind": "characters", "symbols": tokenizer.symbols}
    if isinstance(tokenizer, Bytes):
        return {"kind": "bytes"}
    return {
        "kind": "byte_pairs",
        "specials": list(tokenizer.specials),
        "tokenizer": tokenizer.serialized,
    }


def from_facts(facts: Mapping[str, Any]) -> Any:
    """The tokenizer of `to_facts`, of the class that it was. UsageError: damaged, or of an unknown
    kind.
    """
    try:
        match facts["kind"]:
            case "characters":
                return Vocabulary(facts["symbols"])
            case "bytes":
                return Bytes()
            case "byte_pairs":
                made = Subwords(facts["tokenizer"], tuple(facts["specials"]))
                len(made)  # parses it: a damaged one must not fail in the middle of a run
                return made
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"these facts of a tokenizer are damaged ({error!r})") from error
    kind = facts["kind"]
    raise UsageError(f"{kind!r} is no tokenizer: it must be characters, bytes or byte_pairs")
