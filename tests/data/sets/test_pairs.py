"""Pairs of sentences: rows lose and mix nothing, and the synthetic languages can be translated."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.data.builders import multi30k_en_de
from dlcore.data.sets import pair_rows, pairs
from dlcore.errors import UsageError

CORPUS = pairs.synthetic(sizes=(300, 20, 20))
SUBWORDS = pairs.joined(CORPUS, 300)
MULTI30K = Path(__file__).parents[3] / "../shared/data/multi30k_en_de"


@pytest.mark.parametrize(("length", "longest"), [(48, 0), (40, 25), (1, 0)])
def test_packed_rows_hold_every_pair_once_and_whole(length: int, longest: int) -> None:
    rows = pair_rows.packed(CORPUS, SUBWORDS, "train", length, longest).arrays
    assert rows["source"].shape[1] >= length
    found = []
    for source, source_pair, tokens, targets, pair in zip(
        *(rows[key] for key in ("source", "source_pair", "tokens", "targets", "pair")), strict=True
    ):
        assert set(source_pair) - {0} == set(pair) - {0} == set(range(1, pair.max() + 1))
        for number in range(1, pair.max() + 1):
            here = np.flatnonzero(pair == number)
            assert (np.diff(here) == 1).all()  # in one piece
            assert tokens[here[0]] == pair_rows.START
            assert targets[here[-1]] == pair_rows.END
            np.testing.assert_array_equal(tokens[here[1:]], targets[here[:-1]])
            texts = source[source_pair == number], targets[here[:-1]]
            found.append(tuple(SUBWORDS.decode(text).strip() for text in texts))
        assert not source[source_pair == 0].any()
        assert not tokens[pair == 0].any()
    np.testing.assert_array_equal(rows["weight"], rows["pair"] > 0)
    kept = [
        pair
        for pair in zip(CORPUS.source["train"], CORPUS.target["train"], strict=True)
        if not longest
        or max(len(x) + side for side, x in enumerate(pair_rows.encoded(SUBWORDS, pair))) <= longest
    ]
    assert sorted(found) == sorted(kept)
    assert 0 < len(kept) <= 300
    assert (len(kept) < 300) == bool(longest)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=40))
def test_first_fit_is_first_fit(sizes: list[tuple[int, int]]) -> None:
    place, rows = pair_rows.first_fit(np.array(sizes), 9)
    room: list[list[int]] = []
    for size, found in zip(sizes, place, strict=True):
        fits = [at for at, left in enumerate(room) if left[0] >= size[0] and left[1] >= size[1]]
        if not fits:
            room.append([9, 9])
        assert found == (fits or [len(room) - 1])[0]
        room[found][0] -= size[0]
        room[found][1] -= size[1]
    assert rows == len(room)


def test_the_synthetic_languages_translate_word_by_word_and_hold_out_their_tests() -> None:
    same = pairs.synthetic(sizes=(300, 20, 20))
    assert (same.source, same.target) == (CORPUS.source, CORPUS.target)
    assert pairs.synthetic(1, (300, 20, 20)).source != CORPUS.source
    assert {split: len(texts) for split, texts in CORPUS.source.items()} == {
        "train": 300,
        "validation": 20,
        "test": 20,
    }
    everything = [text for texts in CORPUS.source.values() for text in texts]
    assert len(set(everything)) == len(everything)
    seen: dict[str, str] = {}
    for source, target in zip(CORPUS.source["train"], CORPUS.target["train"], strict=True):
        words, said = source.split(), target.split()
        assert len(said) == len(words) + 2
        assert [said[0], said.count("the")] == ["the", 2]
        # The verb goes from the end to before the second article, whatever adjectives there are.
        verb = said[said.index("the", 1) - 1]
        assert seen.setdefault(words[-1], verb) == verb


def test_the_vocabulary_is_of_the_training_sentences_and_takes_all() -> None:
    other = pair_rows.Corpus(
        "x",
        "0",
        {**CORPUS.source, "test": ["zzzz zzzz"] * 99},
        {**CORPUS.target, "test": ["zzzz"] * 99},
    )
    assert pairs.joined(other, 300).serialized == SUBWORDS.serialized
    assert [SUBWORDS.special(name) for name in pair_rows.SPECIALS] == [
        pair_rows.PAD,
        pair_rows.START,
        pair_rows.END,
    ]
    assert [SUBWORDS.decode(x).strip() for x in pair_rows.encoded(SUBWORDS, ["bali Ünß", "a"])] == [
        "bali Ünß",
        "a",
    ]


def test_padding_cuts_nothing() -> None:
    rows = [np.array([5, 6]), np.array([7])]
    np.testing.assert_array_equal(pair_rows.padded(rows), [[5, 6], [7, 0]])
    np.testing.assert_array_equal(pair_rows.padded(rows, 3), [[5, 6, 0], [7, 0, 0]])
    with pytest.raises(ValueError, match="2 tokens does not fit into 1"):
        pair_rows.padded(rows, 1)
    with pytest.raises(UsageError, match="no pair of at most 1 tokens"):
        pair_rows.packed(CORPUS, SUBWORDS, "test", 8, 1)


def test_multi30k_is_read_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not MULTI30K.is_dir():
        pytest.skip("needs the files of Multi30k, whose licence does not allow to ship them")
    splits = {}
    for split, (stem, *marks) in multi30k_en_de.SPLITS.items():
        files = [MULTI30K / f"{stem}.{language}.gz" for language in ("en", "de")]
        assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] == marks
        examples = dict(multi30k_en_de.Builder(data_dir=tmp_path)._generate_examples(*files))
        splits[split] = {
            language: [each[language] for each in examples.values()] for language in ("en", "de")
        }
    assert [len(columns["de"]) for columns in splits.values()] == [29000, 1014, 1000]
    assert not [
        text
        for columns in splits.values()
        for side in columns.values()
        for text in side
        if not text.strip()
    ]
    monkeypatch.setattr(pairs.tfds, "columns", lambda name, split, features: splits[split])
    monkeypatch.setattr(pairs.tfds, "version", lambda name: "1.0.0")
    corpus, reverse = pairs.multi30k(), pairs.multi30k("en", "de")
    known = (
        "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt.",
        "A man in an orange hat starring at something.",
    )
    assert (corpus.source["test"][0], corpus.target["test"][0]) == known
    assert (reverse.source, reverse.target) == (corpus.target, corpus.source)
    with pytest.raises(
        UsageError, match=r"1000 lines and test_2017_mscoco.de.gz 461: they are not of one another"
    ):
        list(
            multi30k_en_de.Builder(data_dir=tmp_path)._generate_examples(
                files[0], MULTI30K / "test_2017_mscoco.de.gz"
            )
        )
