"""Replaces two calls of TensorStore in Orbax that leak memory, about 50 kB for each checkpoint.

TensorStore (0.1.74 to 0.1.86) never frees the strings and numbers of the JSON that it returns:
about 2 kB for a call of `experimental_collect_matching_metrics`, 0.3 kB for one of
`KvStore.Spec.to_json`. Orbax (0.12) makes the first call twice for each checkpoint, to log how much
it has written, and the second once for each array. tests/runs/test_memory.py fails when this is no
longer enough.
"""

from __future__ import annotations

import types
from typing import Any, NamedTuple

import tensorstore
from orbax.checkpoint._src.serialization import tensorstore_utils


class _Spec(NamedTuple):
    """The part of `tensorstore.KvStore.Spec` that Orbax uses: returns its own description."""

    description: dict[str, object]

    def to_json(self) -> dict[str, object]:
        """The description. TensorStore adds nothing to it for a folder, the only use in Orbax."""
        return dict(self.description)


def _open(spec: object, *args: Any, **kwargs: Any) -> object:
    return tensorstore.KvStore.open(
        spec.description if isinstance(spec, _Spec) else spec, *args, **kwargs
    )


class _TensorStore(types.ModuleType):
    """The module `tensorstore` with another `KvStore`, for Orbax's tensorstore_utils."""

    KvStore = types.SimpleNamespace(Spec=_Spec, open=_open)

    def __getattr__(self, name: str) -> object:
        return getattr(tensorstore, name)


def avoid() -> None:
    """Replaces Orbax's two calls of TensorStore that leak memory, in this process.

    Versions of Orbax without these calls are left unchanged.
    """
    if hasattr(tensorstore_utils, "get_tensorstore_raw_bytes"):
        tensorstore_utils.get_tensorstore_raw_bytes = lambda *_: 0
    if getattr(tensorstore_utils, "ts", None) is tensorstore:
        tensorstore_utils.ts = _TensorStore("tensorstore")
