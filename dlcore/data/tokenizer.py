"""Tokenizers as facts: plain JSON from which the same tokenizer is created."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlcore.data.tokens import Bytes, Subwords, Vocabulary
from dlcore.errors import UsageError
from dlcore.files import Json

Tokenizer = Subwords | Vocabulary | Bytes


def to_facts(tokenizer: Tokenizer) -> dict[str, Json]:
    """Returns plain JSON from which `from_facts` creates the tokenizer."""
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
    """Creates the tokenizer that `to_facts` described, of the same class.

    Raises:
        UsageError: the facts are damaged, or of an unknown kind.
    """
    try:
        match facts["kind"]:
            case "characters":
                return Vocabulary(facts["symbols"])
            case "bytes":
                return Bytes()
            case "byte_pairs":
                subwords = Subwords(facts["tokenizer"], tuple(facts["specials"]))
                len(subwords)  # parses it: a damaged one must not fail in the middle of a run
                return subwords
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"these facts of a tokenizer are damaged ({error!r})") from error
    kind = facts["kind"]
    raise UsageError(f"{kind!r} is not a tokenizer: it must be characters, bytes or byte_pairs")
