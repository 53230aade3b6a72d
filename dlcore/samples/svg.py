"""Removes everything from SVG but known elements and attributes, and all external references.

An allow-list, after W3C SVG 1.1. Scripts, event handlers, animations, foreignObject, links, style
sheets, raster images, metadata and everything of other namespaces are removed; a document type with
declarations, entities, and drawings beyond the limits are refused. Declarations of `style`
attributes become presentation attributes, because the report's content security policy forbids
inline styles. Identifiers are numbered in document order, so that the output does not depend on the
random identifiers of matplotlib.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

BYTES = 4 * 2**20  # of one drawing
ELEMENTS = 100_000  # of one drawing, counting what <use> repeats
DEPTH = 64  # of nested elements; a matplotlib figure has about ten
NAMESPACE = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"

_DRAWN = {"path", "rect", "circle", "ellipse", "line", "polyline", "polygon"}
_WORDS = {"text", "tspan", "title", "desc"}  # elements that hold characters
_REFERRED = {"clipPath", "pattern", "linearGradient", "radialGradient"}
_TAGS = _DRAWN | _WORDS | _REFERRED | {"svg", "g", "defs", "use", "stop"}
_PROPERTIES = """
    fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-linecap stroke-linejoin
    stroke-miterlimit stroke-dasharray stroke-dashoffset opacity color clip-path clip-rule display
    visibility vector-effect font-family font-size font-style font-weight font-stretch font-variant
    letter-spacing word-spacing text-anchor dominant-baseline stop-color stop-opacity
"""
_POSITIONS = """
    x y x1 y1 x2 y2 cx cy r rx ry fx fy dx dy d points width height viewBox preserveAspectRatio
    transform rotate textLength lengthAdjust offset spreadMethod gradientUnits gradientTransform
    patternUnits patternContentUnits patternTransform clipPathUnits version
"""
_STYLE = frozenset(_PROPERTIES.split())
_GEOMETRY = frozenset(_POSITIONS.split())
_COLOURS = {"rgb", "rgba", "hsl", "hsla"}
_FUNCTIONS = _COLOURS | {"matrix", "translate", "scale", "rotate", "skewX", "skewY"}
_POINTING = ("fill", "stroke", "clip-path")  # attributes whose value may be url(#name)

# No backslash, colon, slash, semicolon or @: no CSS escape, comment, address or second declaration.
_PLAIN = re.compile(r"[A-Za-z0-9_\s.,#%()+'\"-]*")
_POINTER = re.compile(r"url\(\s*(['\"]?)#([^'\"()\s]+)\1\s*\)")
_BARE_DOCTYPE = re.compile(r"<!DOCTYPE\s+svg\b[^<>\[\]]*>")
_FOR_ALL = re.compile(r"\*\s*\{([^{}]*)\}")
_FONT = re.compile(r"(?:[\w-]+\s+)*?(\d+(?:\.\d+)?(?:px|pt|em|%))\s+(.+)", re.ASCII)


class TooLargeError(ValueError):
    """The drawing exceeds the limits of `clean`."""


def clean(content: bytes) -> str:
    """Returns a drawing with only the elements and attributes of the allow-lists.

    Args:
        content: an SVG document in UTF-8, such as that of a matplotlib figure or of a foreign run.

    Returns:
        An SVG document without references to anything outside itself.

    Raises:
        TooLargeError: more than BYTES bytes before or after cleaning, more than ELEMENTS elements
            in the document or repeated by <use>, or elements nested deeper than DEPTH.
        ValueError: not UTF-8, not well-formed, not an SVG, or with declarations of entities or a
            document type that is not a plain `<!DOCTYPE svg ...>`.
    """
    if len(content) > BYTES:
        raise TooLargeError(f"SVG: {len(content):,} bytes exceed {BYTES:,}; save it as PNG")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"SVG: not UTF-8 ({error.reason}); save it as UTF-8") from error
    text = _BARE_DOCTYPE.sub("", text, count=1)  # that of matplotlib declares nothing
    if re.search(r"<!\s*(DOCTYPE|ENTITY|ELEMENT|ATTLIST)", text, re.IGNORECASE):
        raise ValueError("SVG: declares a document type or entities; remove the declarations")
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise ValueError(f"SVG: not well-formed ({error})") from error
    if _tag(root) != "svg":
        raise ValueError("SVG: the outermost element is not <svg> of the SVG namespace")
    if sum(1 for _ in root.iter()) > ELEMENTS:
        raise TooLargeError(f"SVG: more than {ELEMENTS:,} elements; save it as PNG")
    drawing = _copy(root, {}, depth=0, referred=False)
    for name, value in _inherited(root):
        drawing.attrib.setdefault(name, value)
    _limit_repetition(drawing)
    drawing.set("xmlns", NAMESPACE)
    result = ET.tostring(drawing, encoding="unicode")
    if len(result.encode("utf-8")) > BYTES:  # it would be refused when the report cleans it again
        raise TooLargeError(f"SVG: more than {BYTES:,} bytes once cleaned; save it as PNG")
    return result


def _tag(element: ET.Element) -> str | None:
    """The local name of an allowed element of the SVG namespace (or of none); None for others."""
    tag = element.tag
    if not isinstance(tag, str):  # a comment or a processing instruction
        return None
    tag = tag.removeprefix(f"{{{NAMESPACE}}}")
    return tag if tag in _TAGS else None


def _copy(source: ET.Element, names: dict[str, str], depth: int, referred: bool) -> ET.Element:
    """An allowed element and its allowed descendants.

    `names` maps identifiers to their numbered names. Elements inside a pattern or a clip path
    (`referred`) refer to nothing: nested references multiply the work of drawing exponentially.
    """
    if depth > DEPTH:
        raise TooLargeError(f"SVG: elements nested deeper than {DEPTH}; save it as PNG")
    tag = _tag(source)
    assert tag is not None
    result = ET.Element(tag)
    for name, value in _attributes(source):
        pointer = _POINTER.fullmatch(value.strip())
        if name == "href":
            if tag == "use" and not referred and value.startswith("#"):
                result.set("href", f"#{_numbered(names, value[1:])}")
        elif name == "id":
            result.set("id", _numbered(names, value))
        elif pointer and name in _POINTING:
            if not referred:
                result.set(name, f"url(#{_numbered(names, pointer[2])})")
        elif _is_plain(value):
            result.set(name, value)
    if tag in _WORDS:
        result.text = source.text
    for child in source:
        if _tag(child) is not None:
            copied = _copy(child, names, depth + 1, referred or tag in _REFERRED)
            copied.tail = child.tail if tag in _WORDS else None
            result.append(copied)
    return result


def _numbered(names: dict[str, str], identifier: str) -> str:
    return names.setdefault(identifier, f"i{len(names)}")


def _attributes(source: ET.Element) -> Iterator[tuple[str, str]]:
    """The allowed attributes; declarations of `style`, which have precedence, last."""
    for name, value in source.attrib.items():
        if name in _GEOMETRY or name in _STYLE or name in ("id", "href"):
            yield name, value
        elif name == _XLINK:
            yield "href", value
    yield from _declarations(source.get("style", ""))


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    """The allowed properties of a CSS declaration block."""
    for declaration in style.split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip().lower(), value.strip()
        font = _FONT.fullmatch(value) if name == "font" else None
        if font:
            yield "font-size", font[1]
            yield "font-family", font[2]
        elif name in _STYLE:
            yield name, value


def _is_plain(value: str) -> bool:
    """Whether a value consists of numbers, words, colours and transforms only."""
    called = re.findall(r"([\w-]*)\s*\(", value)
    return _PLAIN.fullmatch(value) is not None and all(name in _FUNCTIONS for name in called)


def _inherited(root: ET.Element) -> Iterator[tuple[str, str]]:
    """The declarations of `* {...}`, in which matplotlib sets the joins of all lines."""
    for sheet in root.iter(f"{{{NAMESPACE}}}style"):
        rule = _FOR_ALL.fullmatch((sheet.text or "").strip())
        if rule:
            yield from ((name, value) for name, value in _declarations(rule[1]) if _is_plain(value))


def _limit_repetition(drawing: ET.Element) -> None:
    """Removes each <use> whose target is missing or contains <use>; counts what is repeated.

    Without nesting, neither cycles nor exponential growth are possible.
    """
    targets = {element.get("id"): element for element in drawing.iter() if element.get("id")}
    called = {use.get("href", "")[1:] for use in drawing.iter("use")}
    sizes: dict[str, int] = {}
    for name in called & {*targets}:
        target = targets[name]
        if target.find(".//use") is None and target.tag != "use":
            sizes[name] = sum(1 for _ in target.iter())
    repeated = sum(sizes.get(use.get("href", "")[1:], 0) for use in drawing.iter("use"))
    if repeated > ELEMENTS:
        raise TooLargeError(f"SVG: <use> repeats more than {ELEMENTS:,} elements; save it as PNG")
    for parent in list(drawing.iter()):
        allowed = [c for c in parent if c.tag != "use" or c.get("href", "")[1:] in sizes]
        if len(allowed) < len(parent):
            parent[:] = allowed
