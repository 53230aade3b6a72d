"""Tokenizers as facts: plain JSON from which the same tokenizer is created."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from dlcore.data import tokens
from dlcore.data.characters import Bytes, Vocabulary
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError
from dlcore.files import Json

Tokenizer = Subwords | Vocabulary | Bytes

# a run that is opened again, and the texts of its config, which may be paths
_RUN: ContextVar[tuple[Path, tuple[str, ...]]] = ContextVar("run", default=(Path(), ()))


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


def of_run(folder: Path) -> Any:
    """Creates the tokenizer of a run, whose facts are in its folder.

    Args:
        folder: of the run; has facts.json.

    Returns:
        The tokenizer, as of `from_facts`.

    Raises:
        UsageError: it is no run of a model with a tokenizer, or the facts are damaged.
    """
    if used := _facts(folder):
        return from_facts(used)
    raise UsageError(
        f"there are no facts of a tokenizer in {folder / 'facts.json'}: name the folder of a run of"
        " a model of texts, such as runs/NAME/001"
    )


def _facts(folder: Path) -> Any:
    """What a run has kept of its tokenizer; None: nothing. UsageError: the file is damaged."""
    file = folder / "facts.json"
    if not file.is_file():
        return None
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        # of questions: the tokenizer is a part of the encoder
        within = facts if "tokenizer" in facts else facts.get("encoder")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{file} is damaged ({error!r}): restore it from a copy") from error
    return within.get("tokenizer") if isinstance(within, dict) else None


@contextlib.contextmanager
def kept(run: Path, config: Mapping[str, Json]) -> Iterator[None]:
    """Lets `of_weights` in this context return the tokenizer that a run has kept in its facts.

    It does so for the paths that the run was started with: they may be relative to another folder,
    gone, or those of other weights by now. Where the run has kept none, the path is read.

    Args:
        run: the folder of the run, which is opened again.
        config: of its card.
    """
    token = _RUN.set((run, tuple(value for value in config.values() if isinstance(value, str))))
    try:
        yield
    finally:
        _RUN.reset(token)


def of_weights(path: str | Path) -> Any:
    """Creates the tokenizer of pretrained weights; None for an empty path.

    Args:
        path: the folder of a run, or the .npz file of exported weights, beside which the tokenizer
            is in a .json file of the same name; "": nothing is pretrained. In the context of `kept`
            also a path that the run was started with.

    Returns:
        `Subwords` beside an .npz file; of a run as of `from_facts`.

    Raises:
        UsageError: there is no tokenizer, or it is damaged.
    """
    if not path:
        return None
    run, texts = _RUN.get()
    if str(path) in texts and (own := _facts(run)):
        return from_facts(own)
    file = Path(path)
    return tokens.load(file.with_suffix(".json")) if file.suffix == ".npz" else of_run(file)


def from_facts(facts: Mapping[str, Any]) -> Any:
    """Creates the tokenizer that `to_facts` described, of the same class.

    Returns:
        `Subwords`, `Vocabulary` (characters) or `Bytes`.

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
