"""Keeps Orbax from the two calls of TensorStore that leak memory: a run with many checkpoints would
grow by 50 kB with each.

TensorStore (0.1.74 to 0.1.86) never frees the strings and numbers of the JSON that it returns:
about 2 kB for a call of `experimental_collect_matching_metrics`, 0.3 kB for one of
`KvStore.Spec.to_json`. Orbax (0.12) makes the first call twice a checkpoint, to log how much it has
written, and the second once for each array. tests/runs/test_memory.py notices when this is not
enough any more.
"""

from __future__ import annotations

import types
from typing import Any, NamedTuple

import tensorstore
from orbax.checkpoint._src.serialization import tensorstore_utils


class _Spec(NamedTuple):
    """`tensorstore.KvStore.Spec` as far as Orbax uses it: what it was made from, given back without
    asking TensorStore.
    """

    description: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """What it was made from. TensorStore adds nothing for a folder, and Orbax uses it for
        nothing else.
        """
        return dict(self.description)


def _open(spec: Any, *args: Any, **kwargs: Any) -> Any:
    return tensorstore.KvStore.open(
        spec.description if isinstance(spec, _Spec) else spec, *args, **kwargs
    )


class _TensorStore(types.ModuleType):
    """The module `tensorstore` as Orbax's tensorstore_utils sees it; all but `KvStore` is the
    module's own.
    """

    KvStore = types.SimpleNamespace(Spec=_Spec, open=_open)

    def __getattr__(self, name: str) -> Any:
        return getattr(tensorstore, name)


def avoid() -> None:
    """Replaces both calls, once for the process. Another Orbax, that has them elsewhere, is left as
    it is.
    """
    if hasattr(tensorstore_utils, "get_tensorstore_raw_bytes"):
        tensorstore_utils.get_tensorstore_raw_bytes = lambda *_: 0
    if getattr(tensorstore_utils, "ts", None) is tensorstore:
        tensorstore_utils.ts = _TensorStore("tensorstore")
