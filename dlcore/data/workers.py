"""Batches prepared ahead of the step, by threads or by worker processes, in the order of the steps.

A worker computes whole batches, each a function of its step, so that the batches are the same for
any number of workers. Grain starts the processes and passes arrays through shared memory.
"""

from __future__ import annotations

import functools
import gc
import mmap
import os
import pickle
import re
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dlcore.data.source import Batch
from dlcore.errors import UsageError

_BUFFERED = 2  # batches that each worker prepares ahead
_LONGEST = 4096  # bytes of the description of an item that a worker is reading
_SHARED = Path("/dev/shm")
_DEAD = re.compile(r"terminated unexpectedly with exit code (-?\d+)")

_reading: mmap.mmap | None = None  # in a worker: describes the item that is being read


def prepared(
    at: Callable[[int], Batch], steps: range, threads: int = 1, workers: int = 0
) -> Iterator[Batch]:
    """Yields at(step) for all steps, in their order, computed ahead of time.

    An exception of `at` is raised in place of its batch. Closing the iterator ends the workers.

    Args:
        at: computes a batch; with workers it is pickled, with the source that it reads, and this
            process may compute the first batch too, to learn its size.
        steps: the steps.
        threads: number of threads that compute batches, if there are no workers.
        workers: number of processes that compute batches; 0: threads of this process.

    Raises:
        UsageError: a worker process ended; the message names the item that it last passed to
            `reading`.
    """
    import grain

    if not steps:
        return iter(())
    if workers:
        return _from_processes(at, steps, workers)
    dataset = grain.MapDataset.range(steps.start, steps.stop, steps.step).map(at)
    return iter(
        dataset.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=4))
    )


def reading(where: str) -> None:
    """Records which item this worker process is reading, for the message if the process ends there.

    Args:
        where: names the item. Outside a worker process nothing is recorded.
    """
    if _reading is not None:
        text = where.encode("utf-8", "replace")[: _LONGEST - 1]
        _reading[: len(text) + 1] = text + b"\0"


def _from_processes(at: Callable[[int], Batch], steps: range, workers: int) -> Iterator[Batch]:
    import grain
    from absl import flags
    from grain.experimental import DatasetOptions, WithOptionsIterDataset

    if not flags.FLAGS.is_parsed():  # Grain reads options there, and dlcore sets none
        flags.FLAGS.mark_as_parsed()
    _send_experiments_by_value()
    with tempfile.TemporaryDirectory(prefix="dlcore-workers-") as folder:
        dataset: Any = (
            grain.MapDataset.range(steps.start, steps.stop, steps.step)
            .map(_Picklable(at))
            .to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=1))
        )
        if not _shared_memory(at, steps, workers):
            dataset = WithOptionsIterDataset(dataset, DatasetOptions(min_shm_size=sys.maxsize))
        iterator = iter(
            dataset.mp_prefetch(
                grain.multiprocessing.MultiprocessingOptions(workers, _BUFFERED),
                worker_init_fn=functools.partial(_start, folder),
            )
        )
        try:
            for batch in iterator:
                copied = {name: np.array(array, subok=False) for name, array in batch.items()}
                del batch  # frees its shared memory, however long the copy is kept
                yield copied
        except RuntimeError as error:
            if dead := _DEAD.search(str(error)):
                raise UsageError(_ended(int(dead[1]), Path(folder))) from error
            raise
        finally:
            iterator.close()
            del iterator, dataset
            gc.collect()  # they hold the last batch in shared memory, in a cycle of references


class _Picklable:
    """A function whose exceptions can be sent to another process."""

    def __init__(self, function: Callable[[int], Batch]) -> None:
        self.function = function

    def __call__(self, step: int) -> Batch:
        try:
            return self.function(step)
        except Exception as error:
            try:
                pickle.loads(pickle.dumps(error))
            except Exception:
                raise RuntimeError("".join(traceback.format_exception(error))) from None
            raise


def _shared_memory(at: Callable[[int], Batch], steps: range, workers: int) -> bool:
    """Whether the batches in flight fit into shared memory, of which containers may have 64 MB.

    Writing more than there is would end a worker with a bus error.
    """
    if not _SHARED.is_dir() or not steps:
        return True
    size = sum(array.nbytes for array in at(steps[0]).values())
    in_flight = workers * (2 * _BUFFERED + 2)
    return size * in_flight < 0.8 * shutil.disk_usage(_SHARED).free


def _send_experiments_by_value() -> None:
    """Experiment files are executed by their path: another process cannot import them by name."""
    import cloudpickle

    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        if not getattr(getattr(spec, "loader", None), "importable", True):
            cloudpickle.register_pickle_by_value(module)


def _start(folder: str, worker: int, workers: int) -> None:
    """Prepares a worker process, before it computes anything."""
    global _reading
    # The main process decides when to stop, and what a signal of the whole group means.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["JAX_PLATFORMS"] = "cpu"  # the accelerator is the main process's
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_platforms", "cpu")
    file = Path(folder) / str(os.getpid())
    file.write_bytes(bytes(_LONGEST))
    with file.open("r+b") as opened:
        _reading = mmap.mmap(opened.fileno(), _LONGEST)


def _end_with_parent() -> None:
    """Ends this process when the main process ends, also where it was killed."""
    import multiprocessing

    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _ended(code: int, folder: Path) -> str:
    """The message for a worker that ended, with the item that it was reading."""
    how = f"exit code {code}"
    if code < 0:
        how = f"signal {signal.Signals(-code).name}"
    dead = [file for file in folder.iterdir() if not _runs(int(file.name))]
    items = [file.read_bytes().partition(b"\0")[0].decode("utf-8", "replace") for file in dead]
    where = " and ".join(dict.fromkeys(item for item in items if item))
    return (
        f"a worker process ended with {how}"
        f"{f' while it read {where}' if where else ''}. If memory ran out, choose fewer --workers;"
        " otherwise mend or remove that file, or see the whole error with --workers 0"
    )


def _runs(pid: int) -> bool:
    if os.name == "nt":  # where signal 0 is none that only looks
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
