"""Numbers, times and sizes as a person reads them, and markup by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dlcore.report.markup import (
    Html,
    clean,
    el,
    is_number,
    join,
    moment,
    number,
    seconds,
    signed,
    size,
)

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        ("word", "word"),
        (True, "True"),
        (1234567, "1,234,567"),
        (10**15, "1e+15"),
        (10**15 - 1, "999,999,999,999,999"),
        (-1234, "-1,234"),
        (0.0, "0"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (1e9, "1.00e+09"),
        (9.99e8, "999,000,000"),
        (1e-3, "0.0010"),
        (9e-4, "9.00e-04"),
        (1000.4, "1,000"),
        (999.96, "1000.0"),
        (100.0, "100.0"),
        (99.9996, "100.000"),
        (1.0, "1.000"),
        (0.99996, "1.0000"),
        (-0.5, "-0.5000"),
        (-2500.7, "-2,501"),
    ],
)
def test_number(value: Any, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "+0.5000"), (-0.5, "−0.5000"), (0.0, "±0"), (-3, "−3")]
)
def test_signed(value: float, text: str) -> None:
    assert signed(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00 s"),
        (0.999, "1.00 s"),
        (1, "1.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (7 * 3600 + 9 * 60 + 59, "7 h 09 min"),
        (None, "—"),
        (math.nan, "—"),
        (math.inf, "—"),
        ("5", "—"),
    ],
)
def test_seconds(value: Any, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2**20, "1.0 MiB"),
        (2**30, "1.0 GiB"),
        (2**40, "1.0 TiB"),
        (5 * 2**50, "5120.0 TiB"),
        (None, "—"),
        (math.nan, "—"),
        ("x", "—"),
    ],
)
def test_size(value: Any, text: str) -> None:
    assert size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-03-04T05:06:07+00:00", "4 Mar 2026, 05:06 UTC"),
        ("2026-03-04T23:30:00-02:00", "5 Mar 2026, 01:30 UTC"),
        (None, "—"),
        ("yesterday", "yesterday"),
        ("0001-01-01T00:00:00+12:00", "0001-01-01T00:00:00+12:00"),
    ],
)
def test_moment(value: Any, text: str) -> None:
    assert moment(value) == text


def test_what_counts_as_a_number() -> None:
    assert [is_number(value) for value in (1, 1.5, math.nan, -(10**299))] == [True] * 4
    assert [is_number(value) for value in (True, "1", None, 10**300, -(10**300))] == [False] * 5


def test_elements_by_hand() -> None:
    assert (
        el(
            "p",
            "a<b",
            None,
            ["x", Html("<i></i>")],
            class_="k",
            data_x='"',
            hidden=True,
            title=None,
            open=False,
        )
        == '<p class="k" data-x="&quot;" hidden>a&lt;bx<i></i></p>'
    )
    assert el("img", src="a") == '<img src="a">'
    assert el("td", 0) == "<td>0</td>"
    assert join(["a", None, ("b", ["c"])]) == "abc"


def test_characters_that_no_page_can_hold_are_replaced() -> None:
    assert clean("a\0b\x1bc\x7fd\x9fe\ud800f\ufffeg") == "a�b�c�d�e�f�g"
    assert clean("a\tb\nc é\r\N{SNOWMAN}\f") == "a\tb\nc é\r\N{SNOWMAN}\f"
