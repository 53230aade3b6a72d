"""What the builders of tagged sentences share: their features, and CoNLL columns."""

from __future__ import annotations

import tensorflow_datasets as tfds

from dlcore.data.builders.files import Examples


def tagged_info(
    builder: tfds.core.DatasetBuilder, description: str | None, homepage: str
) -> tfds.core.DatasetInfo:
    """The features of tagged sentences: words and tags, separated by one space, and a label."""
    texts = {name: tfds.features.Text() for name in ("words", "tags", "label")}
    return tfds.core.DatasetInfo(
        builder=builder,
        description=description,
        features=tfds.features.FeaturesDict(texts),
        homepage=homepage,
    )


def tagged_rows(content: str, separator: str) -> Examples:
    """The sentences of CoNLL columns: the word first, its tag last, an empty line between them.

    Lines that begin with -DOCSTART- stand between documents and are left out.
    """
    sentences: list[list[tuple[str, str]]] = [[]]
    for line in content.split("\n"):
        cells = line.strip().split(separator)
        if cells == [""] or cells[0] == "-DOCSTART-":
            sentences.append([])
        else:
            sentences[-1].append(("".join(cells[0].split()), cells[-1].strip()))
    for number, rows in enumerate(filter(None, sentences)):
        words, tags = zip(*rows, strict=True)
        fields: dict[str, object] = {"words": " ".join(words), "tags": " ".join(tags), "label": ""}
        yield f"{number:05d}", fields
