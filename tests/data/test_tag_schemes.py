"""Tags of spans: every scheme gives the same spans."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from dlcore.data.tag_schemes import OUTSIDE, Span, bio, spans_of, split_tag, to_bio

pytestmark = pytest.mark.quick


def iob1(spans: Iterable[Span], length: int) -> list[str]:
    """Writes spans as IOB1 tags: B only where a span touches the span before, of the same type.

    Args:
        spans, length: as of `bio`.

    Raises:
        ValueError: as `bio`.
    """
    tags = bio(spans, length)
    before = [OUTSIDE, *tags]
    return [
        f"I-{tag[2:]}" if tag[0] == "B" and last[2:] != tag[2:] else tag
        for last, tag in zip(before, tags, strict=False)
    ]


def test_every_scheme_gives_the_same_spans() -> None:
    spans = [Span(0, 2, "PER"), Span(2, 3, "PER"), Span(4, 7, "LOC"), Span(7, 8, "ORG")]
    schemes = {
        "iob1": "I-PER I-PER B-PER O I-LOC I-LOC I-LOC I-ORG",
        "bio": "B-PER I-PER B-PER O B-LOC I-LOC I-LOC B-ORG",
        "iobes": "B-PER E-PER S-PER O B-LOC I-LOC E-LOC S-ORG",
        "bilou": "B-PER L-PER U-PER O B-LOC I-LOC L-LOC U-ORG",
    }
    for name, tags in schemes.items():
        assert spans_of(tags.split()) == spans, name
        assert to_bio(tags.split()) == schemes["bio"].split(), name
    assert bio(spans, 8) == schemes["bio"].split()
    assert iob1(spans, 8) == schemes["iob1"].split()


def test_random_tags_keep_their_spans_in_every_scheme() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        tags = [str(t) for t in generator.choice(["O", "B-A", "I-A", "B-B", "I-B"], 9)]
        spans = spans_of(tags)
        assert spans_of(bio(spans, 9)) == spans_of(iob1(spans, 9)) == spans


def test_an_inside_without_a_beginning_begins() -> None:
    assert spans_of(["O", "I-A", "I-B", "I-B"]) == [Span(1, 2, "A"), Span(2, 4, "B")]
    assert spans_of([]) == []


@pytest.mark.parametrize("tag", ["X-PER", "B-", "B", "PER", "", "BI-PER"])
def test_malformed_tags_are_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="neither O nor a tag"):
        split_tag(tag)


def test_spans_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlaps"):
        bio([Span(0, 2, "A"), Span(1, 3, "B")], 4)
