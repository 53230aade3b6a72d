"""Experiment files: whether they can be trained on other data."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.errors import UsageError
from dlcore.runs import catalog

pytestmark = pytest.mark.quick

FILE = '''"""A file of one's own."""
import dataclasses
%s

@dataclasses.dataclass(frozen=True)
class Config:
    batch: int = 2
    steps: int = 1


def build(c, splits):
    raise ValueError("it was built")
'''
USES = "def data(c, where):\n    return str(where)\n"
IGNORES = "def data(c, source):\n    return 'the same'\n"
IMPORTS = "from experiments.mlp_digits import data\n"


def page(folder: Path, data: str) -> catalog.Page:
    path = folder / "mine.py"
    path.write_text(FILE % data)
    return catalog.load(path)


@pytest.mark.slow
@pytest.mark.parametrize(("data", "used"), [(USES, True), (IGNORES, False), (IMPORTS, True)])
def test_whether_data_reads_its_source(tmp_path: Path, data: str, used: bool) -> None:
    assert page(tmp_path, data).uses_source == used


def test_other_data_are_refused_where_they_would_be_ignored(tmp_path: Path) -> None:
    mine = page(tmp_path, IGNORES)
    config = mine.config()
    with pytest.raises(UsageError, match="--offline would change nothing"):
        mine.experiment(config, "offline")
    with pytest.raises(UsageError, match="--data photos would change nothing"):
        mine.experiment(config, Path("photos"))
    with pytest.raises(UsageError, match="it was built"):
        mine.experiment(config, "published")
    with pytest.raises(UsageError, match="it was built"):
        page(tmp_path, USES).experiment(config, "offline")


def test_the_description_is_that_of_the_text_that_was_loaded(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_bytes(f"# coding: latin-1\n{FILE % USES}".replace("own", "öwn").encode("latin-1"))
    text = catalog.source(path)
    assert catalog.load(path).about == catalog.about(path)["about"] == "A file of one's öwn."
    path.write_text("another text")
    assert catalog.load(path, text).about == "A file of one's öwn."
    path.write_text("def build(")
    with pytest.raises(UsageError, match=r"mine.py cannot be read as Python: .*line 1"):
        catalog.about(path)


@pytest.mark.parametrize("name", catalog.names())
def test_every_experiment_uses_its_source(name: str) -> None:
    assert catalog.load(catalog.find(name)).uses_source
