"""Budgets of the compiled training steps: FLOPs, bytes of memory traffic, temporary bytes.

`python -m tests.train.budget` records them anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jax

from dlcore import sharding
from dlcore.options import RunOptions
from dlcore.runs import catalog
from dlcore.runs.program import SingleProgram
from tests.child import tiny

RECORDED = Path(__file__).with_name("budgets.json")
ROOM = 1.1  # processors differ a little in what is fused
HOST = re.compile(r"\b(infeed|outfeed|send|recv)\(|callback")


def cost(compiled: Any) -> dict[str, int]:
    """Returns FLOPs, bytes read and written, and temporary bytes of one device's program."""
    analysis, memory = compiled.cost_analysis(), compiled.memory_analysis()
    flops, moved = (int(analysis[word]) for word in ("flops", "bytes accessed"))
    return {"flops": flops, "bytes": moved, "temporary_bytes": int(memory.temp_size_in_bytes)}


def recorded() -> dict[str, dict[str, dict[str, int]]]:
    """Reads {version of JAX: {experiment: cost}}; the counts depend on the compiler's version."""
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def check(name: str, compiled: Any, state: Any) -> None:
    """Asserts that a compiled step is within its budget.

    It must not communicate with the host, must reuse the memory of the state, and each cost must be
    at most `ROOM` times the recorded one.
    """
    assert not HOST.search(compiled.as_text()), f"{name}: the step talks to the host"
    held = sum(x.dtype.itemsize * x.size for x in jax.tree.leaves(state))
    given = int(compiled.memory_analysis().alias_size_in_bytes)
    assert given >= held, (
        f"{name}: {held - given} bytes of the state are copied instead of given on"
    )
    kept = recorded().get(jax.__version__, {})
    # test_this_version_has_budgets skips where there are none
    for what, found in cost(compiled).items() if kept else ():
        assert name in kept, f"{name} has no budget yet: python -m tests.train.budget"
        allowed = kept[name][what]
        assert found <= ROOM * allowed, (
            f"{name}: {found} {what}, {allowed} were recorded; if that is right, python -m"
            " tests.train.budget"
        )


def record() -> None:
    """Compiles the step of every experiment's preset "tiny", and records its costs.

    They are recorded for this version of JAX, on the devices of the test suite.
    """
    steps = {}
    for name in catalog.names():
        page = catalog.load(catalog.find(name))
        program = SingleProgram(
            page.experiment(tiny(name), "offline"),
            RunOptions(offline=True),
            sharding.layout("auto", ""),
        )
        program.compile()
        steps[name] = cost(program.step)
        print(name, steps[name], flush=True)
    kept = {**recorded(), jax.__version__: steps}
    RECORDED.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    import tests.conftest  # noqa: F401  the suite's devices

    record()
