"""What every command runs in: streams that may fail, errors that become one line and an exit code."""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from dlcore import output
from dlcore.errors import Disrupted, UsageError, operating_system, shortened

TRAINING = ("train", "resume", "sweep")  # they go on where nobody reads what they say


def guarded(words: Sequence[str], command: Callable[[], int]) -> int:
    """Run a command, of which `words` are the command line, and return its exit code: errors of a user's making become a message."""
    if not any(any(Path("/dev").glob(pattern)) for pattern in ("nvidia[0-9]*", "accel*", "vfio", "kfd", "dxg")):
        # XLA prints a page for every program that comes from the cache, about features of the processor that it did not use.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        if any(importlib.util.find_spec(compiler) for compiler in ("libtpu", "jax_cuda12_plugin", "jax_cuda13_plugin")):
            os.environ.setdefault("JAX_PLATFORMS", "cpu")  # they are here for `plan`, and would look for their hardware
    warnings.showwarning = lambda message, *_, **__: print(f"dlcore: warning: {message}", file=sys.stderr, flush=True)
    with output.guarded() as stdout:
        code = _ended(command)
        sys.stdout.flush()
        return code if words[:1] and words[0] in TRAINING else output.exit_code(code, stdout)


def _ended(command: Callable[[], int]) -> int:
    try:
        return command()
    except UsageError as error:
        return refuse(str(error))
    except Disrupted as error:
        refuse(str(error))
        sys.stdout.flush()
        from dlcore.train import processes

        return processes.leave(75)
    except OSError as error:
        if error.errno is None:
            raise
        return refuse(operating_system(error))
    except KeyboardInterrupt as error:
        return refuse(f"interrupted{f': {error}' if str(error) else ''}") and 130


def refuse(message: str) -> int:
    """Print why a command cannot be done; its exit code."""
    print(f"dlcore: {shortened(message)}", file=sys.stderr, flush=True)
    return 2
