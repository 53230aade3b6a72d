"""Helpers of the tests of the report: a card, a run folder, and a parser of the page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

CARD: dict[str, Any] = {
    "experiment": "mlp_digits",
    "about": "A perceptron.",
    "status": "done",
    "config": {"learning_rate": 0.1, "hidden": [256, 128], "augment": False, "name": "it's"},
    "run": {
        "steps": 20,
        "seed": 3,
        "offline": True,
        "parallel": "jit",
        "deterministic": False,
        "out": "elsewhere",
    },
    "git": {"commit": "0123456789abcdef", "clean": True},
    "versions": {"jax": "0.10.1"},
    "devices": {"platform": "cpu", "kind": "cpu", "count": 1},
    "mesh": {"data": 2, "fsdp": 1},
    "data": {
        "train": {
            "name": "digits",
            "version": "1",
            "split": "train",
            "fingerprint": "ab" * 32,
            "examples": 7,
        }
    },
    "parameters": {"net": 1234567},
    "step": 20,
    "steps": 20,
    "seconds": {"train": 2.0, "total": 75.0},
    "params_sha256": {"start": "aa", "end": "bb"},
    "results": {"test": {"accuracy": 0.98, "loss": 0.07}},
    "published": {"metric": "accuracy", "value": 0.974, "source": "a book", "better": "higher"},
}


TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "body",
        "script",
        "main",
        "footer",
        "header",
        "section",
        "aside",
    ),
    *(
        "article",
        "div",
        "span",
        "p",
        "i",
        "b",
        "strong",
        "code",
        "pre",
        "h1",
        "h2",
        "h3",
        "h4",
        "ul",
        "li",
        "dl",
        "dt",
        "dd",
    ),
    *(
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "figure",
        "figcaption",
        "img",
        "audio",
        "svg",
        "path",
        "text",
        "details",
        "summary",
    ),
}


def make(
    folder: Path, card: dict[str, Any] | None = None, lines: list[Any] | None = None, tail: str = ""
) -> Path:
    """Writes a run folder with a card and metrics, and returns it.

    Args:
        folder: is created.
        card: None: `CARD`.
        lines: of metrics.jsonl, as text or JSON values; None: 20 steps of training, 2 evaluations.
        tail: is appended to metrics.jsonl, without a line end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps(CARD if card is None else card), encoding="utf-8")
    if lines is None:
        lines = [
            {"step": s, "split": "train", "net/loss": 1 / s, "seconds": s} for s in range(1, 21)
        ]
        lines += [{"step": s, "split": "validation", "loss": 2 / s} for s in (10, 20)]
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text + tail, encoding="utf-8")
    return folder


class Parsed(HTMLParser):
    """A parsed HTML page.

    Attributes:
        tags: (tag, names of its attributes) of each element; ("comment", ()) for a comment.
        texts: the texts between tags, without script and style.
        values: of all attributes.
        block: the JSON of the curves.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.texts: list[str] = []
        self.values: list[str] = []
        self.block = ""
        self._in: tuple[str, str | None] = ("", None)
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.values += [value or "" for _, value in attrs]
        self._in = (tag, dict(attrs).get("id"))
        self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ("", None)
        self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self._in == ("script", "curves-data"):
            self.block += data
        elif self._in[0] not in ("script", "style"):
            self.texts[-1:] = [self.texts[-1] + data] if self.texts else [data]

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", ()))
