"""Each `load` of texts gives the sources that are built by hand, and facts that describe them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore.data import source as sources
from dlcore.data import tfds, tokenizer
from dlcore.data.characters import Bytes, characters
from dlcore.data.facts import Facts
from dlcore.data.packing import pack
from dlcore.data.sets import embedded, images, longmemory, pair_rows, pairs, sentences, tables, text
from dlcore.data.source import Arrays, Source
from dlcore.data.splits import Splits
from dlcore.data.tokens import Subwords, bpe
from dlcore.errors import UsageError

SPLITS = ("train", "validation", "test")
DOCUMENTATION = ("documentation", embedded.documentation_version())


def check(splits: Splits, expected: dict[str, Source]) -> None:
    """The same splits, info and first and last examples; facts that survive JSON."""
    assert splits.names() == list(expected)
    for name, source in expected.items():
        assert splits[name].info == source.info
        at = np.array([0, len(source) - 1])
        found, other = splits[name].gather(at), source.gather(at)
        assert found.keys() == other.keys()
        for field, array in other.items():
            assert found[field].dtype == array.dtype
            np.testing.assert_array_equal(found[field], array)
    assert Facts.from_json(splits.facts.to_json()) == splits.facts


@functools.cache
def subwords() -> Subwords:
    """A small vocabulary of the documentation."""
    lines = sentences.lines([embedded.documentation("validation")[:20_000]])
    return bpe(lines, 300, sentences.SPECIALS)


def made_of(text: str) -> dict[str, list[str]]:
    return {"train": [text[:9000], text[9000:20_000]], "validation": [text[20_000:30_000]]}


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces prepared sets: some digits as images, some documentation as texts."""
    written = embedded.documentation()[:30_000]

    def load(name: str, split: str, features: Any = None) -> Arrays:
        part = embedded.digits("test" if split == "test" else "train")
        contents = {"image": part.arrays["image"], "label": part.arrays["label"]}
        return sources.arrays(name, "3.0.1", split, contents)

    def columns(name: str, split: str, features: Any = None) -> dict[str, list[Any]]:
        texts = [f"{split} question {i}" for i in range(40)]
        if name == "sentence_polarity:1.0.1":
            return {"text": texts, "label": [i % 2 for i in range(40)]}
        if name == "clinc_oos":
            return {"text": texts, "intent_name": [f"intent {i % 3}" for i in range(40)]}
        return {"text": made_of(written).get(split, [written[:5000]])}

    def class_names(name: str) -> tuple[str, ...]:
        if name == "mnist":
            raise UsageError("no names")
        return tuple(f"{name} {i}" for i in range(10))

    monkeypatch.setattr(tfds, "load", load)
    monkeypatch.setattr(tfds, "columns", columns)
    monkeypatch.setattr(tfds, "class_names", class_names)
    monkeypatch.setattr(tfds, "version", lambda name: "1.2.3")
    monkeypatch.setattr(tfds, "text", lambda name, split: f"{split} text: " + written[:500])


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces prepared sets."""
    stand_in(monkeypatch)


def test_characters_as_windows_offline_and_of_a_text_in_three_files(prepared: None) -> None:
    files = "".join(tfds.text("tiny_shakespeare", split) for split in SPLITS)
    for source, whole, info in (
        ("offline", embedded.documentation(), DOCUMENTATION),
        ("published", files, ("tiny_shakespeare", "1.2.3")),
    ):
        letter = characters(whole)
        tokens = letter.encode(whole)
        cut = int(0.9 * len(tokens))
        found = text.load("tiny_shakespeare", source, 16)  # type: ignore[arg-type]
        expected: dict[str, Source] = {
            "train": sources.windows(*info, "train", tokens[:cut], 16, stride=1),
            "validation": sources.windows(*info, "validation", tokens[cut:], 16, stride=16),
        }
        check(found, expected)
        assert tokenizer.from_facts(found.facts.tokenizer) == letter
        assert found.facts.vocabulary == len(letter)


def test_byte_pairs_as_windows_and_as_lines_for_masked_models(prepared: None) -> None:
    documents = {s: tfds.columns("english_text", s)["text"] for s in ("train", "validation")}
    learned = bpe(documents["train"], 300)
    tokens = {
        split: np.concatenate(learned.encode_all([f"{t}\n\n" for t in texts]))
        for split, texts in documents.items()
    }
    found = text.load("english_text", "published", 16, vocabulary=300)
    info = ("english_text", "1.2.3")
    expected: dict[str, Source] = {
        split: sources.windows(*info, split, tokens[split], 16, 1 if split == "train" else 16)
        for split in tokens
    }
    check(found, expected)
    assert tokenizer.from_facts(found.facts.tokenizer) == learned
    lines = {split: sentences.lines(texts) for split, texts in documents.items()}
    learned = bpe(lines["train"], 300, sentences.SPECIALS)
    rows = {split: sentences.packed(learned, texts, 16) for split, texts in lines.items()}
    found = text.load("english_text", "published", 16, vocabulary=300, layout="lines")
    check(found, {s: sources.arrays(*info, s, {"tokens": rows[s]}) for s in rows})
    used = tokenizer.from_facts(found.facts.tokenizer)
    assert isinstance(used, Subwords)
    assert used.special("[mask]") == 2


def test_offline_lines_are_those_of_the_whole_documentation() -> None:
    found = text.corpus("english_text", "offline").documents
    for split in ("train", "validation"):
        assert sentences.lines(found[split]) == sentences.lines([embedded.documentation(split)])


def test_documents_are_packed_with_their_bytes(prepared: None) -> None:
    documents = {split: tfds.columns("state_union", split)["text"] for split in SPLITS}
    learned = bpe(documents["train"], 300, [text.END])
    sizes, expected = learned.bytes().astype(np.float32), {}
    for split, texts in documents.items():
        ended = [np.concatenate([[0], tokens, [0]]) for tokens in learned.encode_all(texts)]
        rows = pack(ended, 32, 8 if split == "train" else 32)
        contents = {**rows, "bytes": sizes[rows["targets"]]}
        expected[split] = sources.arrays("state_union", "1.2.3", split, contents)
    found = text.load("state_union", "published", 32, vocabulary=300, layout="documents", overlap=4)
    check(found, expected)  # type: ignore[arg-type]
    assert found.facts.end == 0
    with pytest.raises(UsageError, match="layout documents needs a vocabulary"):
        text.load("state_union", "published", 32, layout="documents")


@pytest.mark.slow
def test_sentences_of_topics_and_of_a_fold_offline() -> None:
    used = subwords()
    texts, topic = sentences.documentation()
    rows, label = sentences.padded(used, texts, 16), np.minimum(topic, 10)
    parts = sentences.cut(label, 10, 0)
    found = sentences.load("clinc_oos", "offline", used, 16)
    expected: dict[str, Source] = {
        s: sources.arrays(*DOCUMENTATION, s, {"tokens": rows[p], "label": label[p]})
        for s, p in parts.items()
    }
    check(found, {split: expected[split] for split in parts})
    assert found.facts.classes[-2:] == ["topic 9", "other"]
    assert isinstance(found.test, sentences.Sentences)
    assert found.test.texts == tuple(texts[i] for i in parts["test"])
    kept = [i for i in range(len(texts)) if topic[i] < 2]
    parts = sentences.cut(topic[kept], 10, 3)
    found = sentences.load("sentence_polarity", "offline", used, 16, fold=3)
    rows = rows[kept]
    expected = {
        split: sources.arrays(
            *DOCUMENTATION,
            f"{split} of fold 3",
            {"tokens": rows[part], "label": topic[kept][part]},
        )
        for split, part in parts.items()
    }
    check(found, expected)
    mapped = found.map({"length": lambda batch: (batch["tokens"] > 0).sum(1)})
    assert mapped.test.texts == found.test.texts  # type: ignore[union-attr]


def test_published_sentences_have_the_classes_of_the_set(prepared: None) -> None:
    found = sentences.load("clinc_oos", "published", subwords(), 16)
    assert found.facts.classes == ["intent 0", "intent 1", "intent 2", "out of scope"]
    train: Any = found.train
    assert train.arrays["label"].tolist() == [i % 3 for i in range(40)] + [3] * 40
    assert train.texts[40] == "train_oos question 0"
    assert train.info.name == "clinc_oos"
    found = sentences.load("sentence_polarity", "published", subwords(), 16, fold=1)
    assert [found[s].info.split for s in SPLITS] == [f"{s} of fold 1" for s in SPLITS]
    assert found.facts.classes[0] == "sentence_polarity:1.0.1 0"


@pytest.mark.slow
def test_pairs_are_packed_and_keep_their_texts() -> None:
    corpus = pairs.synthetic()
    learned = pairs.joined(corpus, 400)
    found = pairs.load("multi30k_en_de", "offline", 400, 32, longest=20)
    expected = {
        split: pair_rows.packed(corpus, learned, split, 32, 20 if split == "train" else 0)
        for split in SPLITS
    }
    check(found, expected)  # type: ignore[arg-type]
    assert tokenizer.from_facts(found.facts.source_tokenizer) == learned
    assert tokenizer.from_facts(found.facts.target_tokenizer) == learned
    test: Any = found.test
    assert list(test.source_texts) == corpus.source["test"]
    assert list(test.target_texts) == corpus.target["test"]
    held_out = corpus.source["validation"] + corpus.source["test"]
    assert found.facts.longest_source == max(map(len, pair_rows.encoded(learned, held_out)))


@pytest.mark.quick
def test_tokenizers_of_facts_are_the_same_and_damaged_ones_are_refused() -> None:
    for each in (characters("\ud800aé"), Bytes(), subwords()):
        facts = Facts.from_json(Facts(tokenizer=tokenizer.to_facts(each)).to_json())
        assert tokenizer.from_facts(facts.tokenizer) == each
    for wrong, message in (
        ({"kind": "words"}, "'words' is not a tokenizer"),
        ({"kind": "characters"}, "damaged"),
        ({"kind": "characters", "symbols": "ba"}, "damaged"),
        ({"kind": "byte_pairs", "specials": [], "tokenizer": "{}"}, "not a vocabulary"),
    ):
        with pytest.raises(UsageError, match=message):
            tokenizer.from_facts(wrong)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("load", "name"),
    [
        (lambda name, source: embedded.load(name, source), "digits"),
        (lambda name, source: images.load(name, source, 1), "mnist"),
        (lambda name, source: tables.load(name, source, 2, 1), "diabetes"),
        (lambda name, source: longmemory.load(name, source, 20), "adding"),
        (lambda name, source: text.load(name, source, 8), "english_text"),
        (lambda name, source: sentences.load(name, source, subwords(), 8), "clinc_oos"),
        (lambda name, source: pairs.load(name, source, 300, 8), "multi30k_en_de"),
    ],
)
def test_own_files_that_are_not_there_and_unknown_names_are_refused(load: Any, name: str) -> None:
    none = (
        f"own files are not supported by {name} yet"
        if name in ("diabetes", "adding")
        else ("somewhere: there is no such file or folder")
    )
    with pytest.raises(UsageError, match=none):
        load(name, Path("somewhere"))
    with pytest.raises(UsageError, match=f"'elsewhere' is not a source of {name}"):
        load(name, "elsewhere")
    if name != "mnist":  # any prepared set of images has a name
        with pytest.raises(UsageError, match="'unknown' is no "):
            load("unknown", "offline")
