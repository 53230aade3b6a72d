"""Features and CoNLL columns of the builders of tagged sentences."""

from __future__ import annotations

import tensorflow_datasets as tfds

from dlcore.data.builders.files import Examples


def tagged_info(
    builder: tfds.core.DatasetBuilder, description: str | None, homepage: str
) -> tfds.core.DatasetInfo:
    """Returns the description of a set with the text features `words`, `tags` and `label`.

    `words` and `tags` are separated by single spaces, one tag per word; `label` is the class of the
    sentence, "" if it has none.
    """
    texts = {name: tfds.features.Text() for name in ("words", "tags", "label")}
    return tfds.core.DatasetInfo(
        builder=builder,
        description=description,
        features=tfds.features.FeaturesDict(texts),
        homepage=homepage,
    )


def tagged_rows(content: str, separator: str) -> Examples:
    """Yields (key, features of `tagged_info`) of each sentence of CoNLL columns, with label "".

    The first column of a line is the word, the last one its tag; blank lines and lines whose word
    is -DOCSTART- separate sentences. Whitespace within a word is removed.

    Args:
        content: the text of the file.
        separator: between columns.
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
