"""Samples folders of version 1, whose index is a bare list of images, texts, tables and plots."""

from __future__ import annotations

from collections.abc import Callable

from dlcore.files import Json

_PARTS = {"images": "pictures", "text": "text", "table": "table", "plot": "plot"}


def from_version_1(index: list[Json], read_text: Callable[[str], str]) -> list[Json]:
    """Converts an index of version 1 to the current form, which is not validated yet.

    Args:
        index: the entries, each of one kind.
        read_text: returns the text of a file of the folder, by its name. Version 1 keeps the prompt
            of a text in the index: it is put in front of the file's text.

    Raises:
        ValueError: an entry that is not an object, or of a kind that version 1 did not know.
    """
    samples: list[Json] = []
    for position, entry in enumerate(index):
        kind = entry.get("kind") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(kind, str) or kind not in _PARTS:
            raise ValueError(f"sample {position}: unknown kind {kind!r}")
        fields = {name: value for name, value in entry.items() if name not in ("kind", "title")}
        part: dict[str, Json] = {"part": _PARTS[kind], **fields}
        prompt, file = fields.get("prompt"), fields.get("file")
        if kind == "text" and isinstance(prompt, str) and isinstance(file, str):
            text = prompt + read_text(file)
            part = {"part": "text", "text": text}
            if prompt:
                span: dict[str, Json] = {
                    "start": 0,
                    "end": len(prompt),
                    "label": "",
                    "colour": "prompt",
                }
                part["spans"] = [span]
        samples.append({"title": entry.get("title"), "parts": [part]})
    return samples
