"""Help texts of fields: their own, that of their name, and published settings."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dlcore.cli import field_words
from dlcore.options import flag_names
from dlcore.runs import catalog

pytestmark = pytest.mark.quick


def test_a_field_s_own_text_comes_before_that_of_its_name() -> None:
    words = field_words.words(Described, "gpt_tiny_shakespeare")
    assert words == {
        "width": "in pixels; published: 128 (nanoGPT's CPU recipe)",
        "height": "of the image",
        "steps": "updates of the parameters; published: 2000 (nanoGPT's CPU recipe)",
        "depth": "both of them",
        "batch": "rows of the table, which is long; published: 12 (nanoGPT's CPU recipe)",
    }


@dataclass(frozen=True)
class Described:
    """Some fields.

    Attributes:
        batch: rows of the `table`,
            which is long.
        depth: both of them.
        steps, unnamed: shared.
    """

    width: int = 1  # in pixels
    height: int = 2
    """of the image"""
    steps: int = 3
    batch: int = 4
    depth: int = 5
    nothing_known: int = 6


def test_published_settings_are_of_fields_that_there_are() -> None:
    for name, settings in field_words.SETTINGS.items():
        names = flag_names(catalog.load(catalog.find(name)).config()).values()
        assert set(settings) <= set(names)
