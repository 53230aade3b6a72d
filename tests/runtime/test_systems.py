"""What macOS and Windows have not is not needed: taken away here, runs train, resume, and hold
their lock as far as there are locks.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.child import card, environment, flags_of, tiny

# Others may import them; dlcore is imported after they are gone.
WITHOUT = """
import sys, os, shutil, signal, types
import jax, orbax.checkpoint, grain, tensorboardX, tyro, sklearn.datasets
for name in ("fcntl", "resource"):
    sys.modules[name] = None
missing = ("sched_getaffinity", "sched_setaffinity", "sysconf", "O_NOFOLLOW", "O_NONBLOCK")
for owner, names in ((os, missing), (signal, ("SIGHUP",))):
    for name in names:
        delattr(owner, name)
# the standard library's own use of these, which it decided when it was imported
os.process_cpu_count, shutil._use_fd_functions = os.cpu_count, False
from dlcore.cli import main as cli
"""


def without(folder: Path, *lines: str) -> str:
    script = "\n".join([WITHOUT, *lines])
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment(JAX_NUM_CPU_DEVICES="1"),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.nightly
def test_without_affinity_locks_and_limits(tmp_path: Path) -> None:
    words = ["train", "mlp_digits", *flags_of(tiny("mlp_digits")), "--out", "run"]
    said = without(
        tmp_path,
        "assert cli.main(['doctor']) == 0",
        f"assert cli.main({words}) == 0",
        "assert cli.main(['resume', 'run', '--steps', '9', '--accept-changes']) == 0",
        "assert cli.main(['plan', 'mlp_digits', '--topology', 'cpu:1']) == 2",
        "from dlcore.runtime import cores",
        "cores.keep_to(1)",
        "from launch import local",
        "assert local.available() == os.cpu_count()",
    )
    assert "does not say how much memory it has" in said
    record = card(tmp_path / "run")
    assert (record["status"], record["step"]) == ("done", 9)
    assert record["peak_memory_bytes"] is None
    assert record["host"]["cores"] >= 1
