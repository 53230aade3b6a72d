"""Compiles an experiment's step for hardware that is not there, in a process of its own: XLA aborts where one of its checks fails.

`python -m tests.plan.compiled EXPERIMENT TOPOLOGY ...` prints a line of JSON for each topology.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import Any

import jax

from dlcore import catalog
from dlcore.errors import UsageError
from dlcore.flags import Flags
from dlcore.plan import topologies
from dlcore.plan.compile import own_size, plan
from dlcore.train import devices
from tests.child import REPOSITORY, environment

LIMIT = 1800.0  # seconds for all topologies of one experiment, on a busy machine


def compiled(name: str, *texts: str) -> list[dict[str, Any]]:
    """What `main` prints in a process of its own. AssertionError with XLA's words: it did not compile for every topology."""
    words = [sys.executable, "-m", "tests.plan.compiled", name, *texts]
    done = subprocess.run(
        words, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, errors="replace", timeout=LIMIT, check=False
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, f"{name} for {texts[len(lines)]}: exit code {done.returncode}\n{done.stderr[-4000:]}"
    return lines


def main(name: str, *texts: str) -> None:
    """Prints what the step takes: of the usual preset where its data are prepared, else of the offline one."""
    jax.config.update("jax_platforms", "cpu")
    devices.prepare(Flags(cpu_devices=1), 1, os.environ)
    page = catalog.load(catalog.find(name))
    try:
        preset, experiment = "usual", page.build(page.config())
    except UsageError as error:
        if "is not prepared" not in str(error):
            raise
        preset, experiment = "offline", page.build(page.offline)
    for text in texts:
        topology = topologies.parse(text)
        here = topologies.devices(topology)
        mesh, _ = own_size(experiment.batch, len(here), 1)
        made = plan(experiment, Flags(mesh=mesh), topology, here)
        told = {
            "experiment": name,
            "topology": text,
            "jax": jax.__version__,
            "preset": preset,
            "mesh": made.mesh,
            "compiled": made.memory is not None,
            "fits": made.fits,
            "peak_bytes": made.needs,
            "seconds": round(made.seconds, 1),
            "compiler_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
