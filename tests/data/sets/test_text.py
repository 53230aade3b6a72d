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
