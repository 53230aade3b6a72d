"""HTML in which every plain string is escaped, so that text from a run never becomes markup."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeGuard

# HTML forbids control characters, and UTF-8 cannot encode lone surrogates, which JSON allows.
_UNFIT = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# Unicode's Bidi_Control: embeddings, overrides and isolates change the order in which the text
# around them is shown.
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_VOID = frozenset({"img", "input", "link", "meta"})
MISSING = "\N{EM DASH}"


class Html(str):
    """Markup that was built here and is safe; a plain str is not."""


def clean(text: object) -> str:
    """Makes characters visible that HTML forbids or that reorder the text around them.

    Each control character but white space, lone surrogate and noncharacter of the BMP becomes
    U+FFFD, and each bidirectional control its own code point, such as "[U+202E]". Nothing is
    escaped: see `escape`.

    Args:
        text: any object, of which `str` is taken.
    """
    return _DIRECTION.sub(
        lambda found: f"[U+{ord(found[0]):04X}]", _UNFIT.sub("\N{REPLACEMENT CHARACTER}", str(text))
    )


def escape(text: object) -> Html:
    """Returns text escaped for use between tags and in quoted attributes."""
    return Html(html.escape(clean(text), quote=True))


def join(children: Iterable[object]) -> Html:
    """Joins children: markup stays, text is escaped, None is left out, and lists are flattened."""
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
    """Returns an HTML element.

    Args:
        tag: its name.
        children: its content, as for `join`; <img>, <input>, <link> and <meta> have none.
        attributes: `class_` stands for class, `data_x` for data-x; those that are None or False
            are left out, and True is one without a value.
    """
    words = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        key = name.rstrip("_").replace("_", "-")
        words.append(f" {key}" if value is True else f' {key}="{escape(value)}"')
    opened = f"<{tag}{''.join(words)}>"
    return Html(opened if tag in _VOID else f"{opened}{join(children)}</{tag}>")


def json_block(value: object, name: str) -> Html:
    """Returns a <script> element of id `name` with a value as JSON, for the page's script.

    "<", ">" and "&" are escaped, so that no string in the value can end the element.

    Raises:
        ValueError: a number is not finite.
    """
    # ensure_ascii has escaped U+2028, U+2029 and lone surrogates.
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Html(f'<script type="application/json" id="{escape(name)}">{text}</script>')


def is_number(value: object) -> TypeGuard[int | float]:
    """Returns whether a value is a float (also NaN) or an int of magnitude below 1e300, no bool."""
    return isinstance(value, float) or (
        isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**300
    )


def number(value: object) -> str:
    """Formats a number for a table; None becomes a dash, and other values their text.

    Integers below 1e15 have all digits; floats have 4 decimals below 1, 3 below 100, 1 below 1000,
    none above, and an exponent ("1.20e-05") below 1e-3 and from 1e9 on.
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
    """Formats a difference with its sign, "±" for 0, and the digits of `number`."""
    return (
        "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else "\N{PLUS-MINUS SIGN}"
    ) + number(abs(value))


def seconds(value: object) -> str:
    """Formats a number of seconds as "12.5 s", "3 min 04 s" or "2 h 05 min"; others: a dash."""
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
    """Formats a number of bytes in B, KiB, ..., TiB; other values become a dash."""
    if not is_number(value) or not math.isfinite(float(value)):
        return MISSING
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def moment(value: object) -> str:
    """Formats an ISO 8601 time as "2 Nov 2026, 10:21 UTC"; None becomes a dash, others their text.

    A time without an offset from UTC is read as local time.
    """
    try:
        when = datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError):
        return MISSING if value is None else str(value)
    return f"{when.day} {when:%b %Y, %H:%M} UTC"
