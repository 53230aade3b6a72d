"""A corpus without some kinds of its documents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcore.data import tfds
from dlcore.data.sets import text
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick
DOCUMENTS = {"train": ["a b", "one tea", "c d"], "validation": ["two teas", "e f"]}
KINDS = {"train": [0, 1, 0], "validation": [1, 0]}


@pytest.fixture(autouse=True)
def _prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    def columns(name: str, split: str, names: Any) -> dict[str, Any]:
        return {"text": DOCUMENTS[split], "kind": np.array(KINDS[split])}

    monkeypatch.setattr(tfds, "columns", columns)
    monkeypatch.setattr(tfds, "class_names", lambda name, field: ["books", "orders"])
    monkeypatch.setattr(tfds, "version", lambda name: "1.0.0")


def test_documents_of_a_kind_are_left_out_and_the_corpus_is_named_by_it() -> None:
    found = text.corpus("english_text", "published", ("orders",))
    assert found.documents == {"train": ["a b", "c d"], "validation": ["e f"]}
    assert found.name == "english_text without orders"
    whole = text.corpus("english_text", "published")
    assert whole.documents == DOCUMENTS
    assert whole.name == "english_text"


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="has no kind 'poems': it has books, orders"):
        text.corpus("english_text", "published", ("poems",))


@pytest.mark.parametrize("vocabulary", [257, 259])
def test_every_vocabulary_counts_the_bytes_of_the_same_text(vocabulary: int) -> None:
    """257 are the bytes and the token between documents: a byte-level model."""
    splits = text.load("english_text", "published", 4, vocabulary=vocabulary, layout="documents")
    assert splits.facts.vocabulary == vocabulary
    for split, documents in DOCUMENTS.items():
        rows: Any = getattr(splits, split)
        found = rows.gather(np.arange(len(rows)))
        counted = (found["bytes"] * found["weight"]).sum()
        assert counted == sum(len(each.encode()) for each in documents)
        if vocabulary == 257:
            assert ((found["bytes"] == 1) == (found["targets"] != splits.facts.end)).all()
