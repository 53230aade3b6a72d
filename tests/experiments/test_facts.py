"""Every experiment's model is built from the facts of its data, without the data."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from dlcore import sharding
from dlcore.data.facts import Facts
from dlcore.data.splits import Splits
from dlcore.data.stream import Stream
from dlcore.errors import UsageError
from dlcore.runs import catalog
from dlcore.train.init import initial
from tests.child import DISTINCT, built, experiments, tiny


@pytest.mark.parametrize("name", experiments(*DISTINCT))
def test_the_model_of_a_run_is_built_without_its_data(name: str) -> None:
    whole = built(name)
    facts = Facts.from_json(whole.splits.facts.to_json())
    again = catalog.load(catalog.find(name)).build(tiny(name), Splits.from_facts(facts))
    assert again.splits.facts == whole.splits.facts
    layout = sharding.layout("jit", "", jax.devices()[:1])
    batch = layout.put(
        Stream(whole.train, whole.batch, 0, np.arange(whole.batch)).at(0), whole.batch
    )
    states = [
        initial(whole, 0, layout, batch)[0],
        initial(again, 0, layout, again.splits.template(again.batch))[0],  # type: ignore[arg-type]
    ]
    shapes = [jax.tree.map(lambda x: (x.shape, str(x.dtype)), state) for state in states]
    assert shapes[0] == shapes[1]
    with pytest.raises(UsageError, match="the data of this run are not open here"):
        again.train.gather(np.arange(1))
