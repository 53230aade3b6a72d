"""What each network begins with: names, shapes and first values, as in parameters.json.

Checkpoints are read by these names, and a parameter is drawn by its name: whoever changes one of
them makes old checkpoints unreadable, or every run another one. `python -m
tests.models.test_parameters` writes the file anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests.models.nets import NETS

FILE = Path(__file__).with_name("parameters.json")
# Networks with initialisers of our own; the others draw as these do, or have a test of it.
DRAWN = ("attention_gru", "bert", "lru", "resnet", "seq2seq", "unet")


def shapes(name: str) -> dict[str, list[int]]:
    """The shape of each parameter and statistic by its path."""
    net, x = NETS[name]
    variables = jax.eval_shape(net.init, jax.random.key(0), *x)
    return {
        path: list(value.shape) for path, value in flatten_dict(dict(variables), sep="/").items()
    }


def values(name: str) -> dict[str, list[float]]:
    """The mean magnitude of each, and the first of its numbers."""
    net, x = NETS[name]
    variables = flatten_dict(dict(jax.jit(net.init)(jax.random.key(0), *x)), sep="/")
    return {path: [float(np.abs(a).mean()), float(np.ravel(a)[0])] for path, a in variables.items()}


def written() -> dict[str, dict[str, Any]]:
    """The file."""
    return json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.quick
@pytest.mark.parametrize("name", NETS)
def test_names_and_shapes_are_those_of_old_checkpoints(name: str) -> None:
    assert shapes(name) == written()["shapes"][name]


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_first_values_are_those_of_old_runs(name: str) -> None:
    found, expected = values(name), written()["values"][name]
    assert found.keys() == expected.keys()
    for path, numbers in expected.items():
        assert found[path] == pytest.approx(numbers, rel=1e-4, abs=1e-6), path


def main() -> None:
    """Write the file."""
    content = {
        "shapes": {name: shapes(name) for name in NETS},
        "values": {name: values(name) for name in DRAWN},
    }
    text = json.dumps(content, indent=1)
    FILE.write_text(
        re.sub(r"\[[^\]]*\]", lambda found: re.sub(r"\s+", " ", found[0]), text) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
