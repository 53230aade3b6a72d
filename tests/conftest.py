"""Settings of all tests.

Simulated devices, errors for implicit broadcasting between ranks and for warnings of dlcore, and
the same examples of Hypothesis in every run.
"""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before jaxlib is loaded: a program from the cache makes it print pages about features of the
# processor that it did not use.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import jax
import jax.monitoring
import jaxtyping
import pytest
from jax._src import compiler

from tests import annotations

# Before the rooms are imported: the hook rewrites modules while they are loaded.
jaxtyping.install_import_hook(annotations.ROOMS, "tests.annotations.check")

from dlcore.runtime.devices import FUSION  # noqa: E402

DEVICES = 8
EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"
CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dlcore" / "compiled-tests"
)

# A shell's background job ignores these, and so would the tests of what they do.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The files that a test trains with are not this user's own.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="dlcore-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

# The tests of kernels run on a GPU too: DLCORE_TEST_PLATFORM=cuda pytest tests/kernels
PLATFORM = os.environ.get("DLCORE_TEST_PLATFORM", "cpu")

# All of this before anything looks at a device. The flag is the one that runs set, so that tests
# see the kernels that runs see.
os.environ["JAX_PLATFORMS"] = PLATFORM if PLATFORM == "cpu" else f"{PLATFORM},cpu"
if "xla_cpu_experimental_ynn_fusion_type" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FUSION}".strip()
jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])
jax.config.update("jax_num_cpu_devices", DEVICES)
jax.config.update("jax_numpy_rank_promotion", "raise")
if PLATFORM != "cpu":  # what is compared with float64 must not be a product in TF32 or bfloat16
    jax.config.update("jax_default_matmul_precision", "highest")

# The second run of the suite loads what the first one compiled.
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# XLA without LLVM's expensive passes: a program compiles in two thirds of the time, and runs
# slower. The default tier is compiled so but for the tests that take `optimised`. Nightly tests,
# and all tests with --optimised, see the code that runs see.
UNOPTIMISED = "jax_disable_most_optimizations"
# Then also with XLA's older code generator, where JAX has it still (later versions refuse the
# flag): it compiles a small program in half of the time, and the suite compiles ten thousand.
OLDER_GENERATOR = ("xla_cpu_use_fusion_emitters", "False")
HAS_OLDER_GENERATOR = jax.__version_info__[:2] == (0, 10)

hypothesis.settings.register_profile(
    "tests", deadline=None, max_examples=20, derandomize=True, database=None
)
hypothesis.settings.load_profile("tests")


MARKERS = (
    "quick: compiles nothing or next to nothing; the whole group takes seconds",
    'slow: takes seconds; `pytest -m "not slow"` is the quick tier',
    (
        "nightly: takes minutes, or repeats a claim over many combinations; `pytest -m nightly`"
        " runs these, and nothing else does"
    ),
)


usual_options = compiler.get_compile_options


def options_of_tests(*args: Any, **kwargs: Any) -> Any:
    """JAX's options of a compilation, with the older code generator where passes are left out."""
    options = usual_options(*args, **kwargs)
    if HAS_OLDER_GENERATOR and jax.config.values[UNOPTIMISED]:
        options.env_option_overrides = [*options.env_option_overrides, OLDER_GENERATOR]
    return options


compiler.get_compile_options = options_of_tests


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option --optimised."""
    parser.addoption("--optimised", action="store_true", help="compile with all passes, as runs do")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the markers, chooses XLA's passes, and makes warnings of dlcore errors."""
    chosen = config.option.markexpr
    nightly = "nightly" in chosen and "not nightly" not in chosen
    optimised = config.option.optimised or nightly or PLATFORM != "cpu"
    jax.config.update(UNOPTIMISED, not optimised)
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.addinivalue_line("filterwarnings", r"error:::dlcore(\.|$)")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Returns the workers of `-n auto`: one per core, at most 8; none where files are named."""
    named = any(Path(word.partition("::")[0]).is_file() for word in config.args)
    if named or config.option.collectonly:
        return 0
    return min(
        8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks nightly tests as slow, and deselects them unless they are requested.

    The tests of one experiment, and otherwise of one file, are run by the same worker. Groups are
    read where pytest-xdist's own hook appends them to the node identifiers, after this one.
    """
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker("slow")
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(_group(item)))
    if "nightly" not in config.option.markexpr and "::" not in "".join(config.args):
        skipped = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=skipped)
        items[:] = [item for item in items if item not in set(skipped)]


def _group(item: pytest.Item) -> str:
    """The name of the group of tests that share a worker.

    The tests of an experiment use the same compiled programs, those of a file its fixtures.
    """
    params = getattr(item, "callspec", None)
    name = params.params.get("name") if params else None
    return (
        name
        if isinstance(name, str) and (EXPERIMENTS / f"{name}.py").is_file()
        else item.nodeid.partition("::")[0]
    )


@pytest.fixture(autouse=True, scope="module")
def _memory_is_bounded() -> Iterator[None]:
    """Clears JAX's caches where the process has many memory mappings.

    Linux allows 65,530 for each process, and every compiled program takes some: one too many aborts
    the suite. What lives on is hidden from the garbage collector, which would otherwise search
    gigabytes again and again.
    """
    yield
    held = Path("/proc/self/maps")
    if held.exists() and len(held.read_bytes().splitlines()) > 20_000:
        gc.unfreeze()
        jax.clear_caches()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _the_current_folder_stays() -> Iterator[None]:
    """Restores the working directory, and fails a test that has changed it."""
    before = Path.cwd()
    yield
    left = Path.cwd()
    os.chdir(before)
    assert left == before, f"the test left the process in {left}"


@pytest.fixture
def optimised() -> Iterator[None]:
    """Compiles with all of XLA's passes, as runs do, in the test and its child processes."""
    before = jax.config.values[UNOPTIMISED]
    jax.config.update(UNOPTIMISED, False)
    yield
    jax.config.update(UNOPTIMISED, before)


@pytest.fixture
def program_count() -> Iterator[Callable[[], int]]:
    """Returns a function that counts the programs compiled or loaded since the test started."""
    events: list[str] = []

    def listen(event: str, seconds: float, **more: Any) -> None:
        if event.endswith("backend_compile_duration"):
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield lambda: len(events)
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="session")
def devices() -> list[jax.Device]:
    """Returns the simulated devices."""
    found = jax.devices()
    assert len(found) == DEVICES
    return found


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disables the checks of annotations, for tests of what wrong arguments do in a run."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
