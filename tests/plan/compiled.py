"""Compiles an experiment's step for hardware that is not present, in a child process.

The process is needed because XLA aborts where one of its checks fails. `python -m
tests.plan.compiled EXPERIMENT TOPOLOGY ...` prints a line of JSON for each topology.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import subprocess
import sys
from typing import Any

import jax

from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.plan import topologies
from dlcore.plan.compile import Plan, own_size, plan
from dlcore.plan.search import MICROBATCHES
from dlcore.runs import catalog
from dlcore.runtime import devices
from dlcore.train.experiment import Experiment
from tests.child import REPOSITORY, environment

LIMIT = 1800.0  # seconds for all topologies of one experiment, on a busy machine


def compiled(name: str, *texts: str) -> list[dict[str, Any]]:
    """Runs `main` in a child process, and returns the JSON objects that it prints.

    Raises:
        AssertionError: the step did not compile for every topology; has the end of XLA's output.
    """
    words = [sys.executable, "-m", "tests.plan.compiled", name, *texts]
    done = subprocess.run(
        words,
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, (
        f"{name} for {texts[len(lines)]}: exit code {done.returncode}\n{done.stderr[-4000:]}"
    )
    return lines


def main(name: str, *texts: str) -> None:
    """Prints memory and compile time of a step for each topology.

    The config is the experiment's default where its data are prepared, else the preset "offline".
    """
    jax.config.update("jax_platforms", "cpu")
    devices.prepare(RunOptions(offline=True, cpu_devices=1), 1, os.environ)
    page = catalog.load(catalog.find(name))
    try:
        preset, experiment = "usual", page.experiment(page.config(), "published")
    except UsageError as error:
        if "is not prepared" not in str(error):
            raise
        preset, experiment = (
            "offline",
            page.experiment(page.presets.get("offline", page.config()), "offline"),
        )
    for text in texts:
        topology = topologies.parse(text)
        here = topologies.devices(topology)
        made = fewest_microbatches(experiment, page.flags, topology, here)
        record = {
            "experiment": name,
            "topology": text,
            "jax": jax.__version__,
            "preset": preset,
            "mesh": made.mesh,
            "microbatches": made.microbatches,
            "compiled": made.memory is not None,
            "fits": made.fits,
            "peak_bytes": made.needs,
            "seconds": round(made.seconds, 1),
            "compiler_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        print(json.dumps(record), flush=True)


def fewest_microbatches(
    experiment: Experiment, flags: RunOptions, topology: topologies.Topology, here: list[Any]
) -> Plan:
    """Returns the plan with the fewest microbatches that fits; where none fits, the last one that
    the experiment allows.
    """
    mesh, _ = own_size(experiment.batch, len(here), 1)
    for microbatches in MICROBATCHES:
        if experiment.batch % (len(here) * microbatches) == 0 or microbatches == 1:
            run_options = dataclasses.replace(flags, mesh=mesh, microbatches=microbatches)
            try:
                made = plan(experiment, run_options, topology, here)
            except UsageError:
                if microbatches == 1:
                    raise
                break  # the step needs its whole batch
            if made.fits:
                break
    return made


if __name__ == "__main__":
    main(*sys.argv[1:])
