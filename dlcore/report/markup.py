"""HTML that cannot be broken out of: every plain string is escaped, and only what was built here
passes as markup.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeGuard

# NUL and the other controls have no place in HTML, and lone surrogates (legal in JSON) cannot be
# written as UTF-8.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# Unicode's Bidi_Control: embeddings, overrides and isolates change the order in which the text
# around them is shown.
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_VOID = frozenset({"img", "input", "link", "meta"})
MISSING = "\N{EM DASH}"


class Html(str):
    """Markup that is known to be safe; a plain str never is."""


def clean(text: object) -> str:
    """Text without the characters that no page can hold, and with those that change its direction
    by name: [U+202E].
    """
    return _DIRECTION.sub(
        lambda found: f"[U+{ord(found[0]):04X}]", _UNFIT.sub("\N{REPLACEMENT CHARACTER}", str(text))
    )


def escape(text: object) -> Html:
    """Text as it may stand between tags and in quoted attributes."""
    return Html(html.escape(clean(text), quote=True))


def join(children: Iterable[object]) -> Html:
    """Children one after another: markup as it is, everything else escaped, None left out, lists
    opened.
    """
    parts: list[str] = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, list | tuple):
            parts.append(join(child))
        elif child is not None:
            parts.append(escape(child))
    return Html("".join(parts))


def el(tag: str, *children: object, **attributes: object) -> Html:
    """One element. `class_` stands for class, `data_x` for data-x; None and False leave an
    attribute out.
    """
    words = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        key = name.rstrip("_").replace("_", "-")
        words.append(f" {key}" if value is True else f' {key}="{escape(value)}"')
    opened = f"<{tag}{''.join(words)}>"
    return Html(opened if tag in _VOID else f"{opened}{join(children)}</{tag}>")


def json_block(value: Any, name: str) -> Html:
    """A value inside the page, for its script to read; nothing in it can end the element or start
    another.
    """
    # ensure_ascii writes U+2028, U+2029 and lone surrogates as \uXXXX already.
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Html(f'<script type="application/json" id="{escape(name)}">{text}</script>')


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether value is a number that can be drawn or compared: no bool, and no integer that is too
    large for a float.
    """
    return isinstance(value, float) or (
        isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**300
    )


def number(value: object) -> str:
    """A number for reading: digits enough to compare, thousands marked; other values as text, None
    as a dash.
    """
    if value is None:
        return MISSING
    if not is_number(value):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**15 else f"{value:.6g}"
    x = float(value)
    if not math.isfinite(x):
        return (
            "NaN" if math.isnan(x) else ("\N{MINUS SIGN}\N{INFINITY}" if x < 0 else "\N{INFINITY}")
        )
    size = abs(x)
    if size == 0:
        return "0"
    if size >= 1e9 or size < 1e-3:
        return f"{x:.2e}"
    return (
        f"{x:,.0f}"
        if size >= 1000
        else f"{x:.1f}"
        if size >= 100
        else f"{x:.3f}"
        if size >= 1
        else f"{x:.4f}"
    )


def signed(value: float) -> str:
    """A difference, with its sign."""
    return (
        "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else "\N{PLUS-MINUS SIGN}"
    ) + number(abs(value))


def seconds(value: object) -> str:
    """A length of time for reading."""
    if not is_number(value) or not math.isfinite(float(value)):
        return MISSING
    s = float(value)
    if s < 60:
        return f"{s:.2f} s" if s < 1 else f"{s:.1f} s"
    minutes, hours = int(s // 60), int(s // 3600)
    return (
        f"{minutes} min {int(s % 60):02d} s"
        if minutes < 60
        else f"{hours} h {minutes % 60:02d} min"
    )


def size(value: object) -> str:
    """A number of bytes for reading."""
    if not is_number(value) or not math.isfinite(float(value)):
        return MISSING
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def moment(value: object) -> str:
    """An ISO time for reading, in UTC; what is no time stays as it is."""
    try:
        when = datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError):
        return MISSING if value is None else str(value)
    return f"{when.day} {when:%b %Y, %H:%M} UTC"
