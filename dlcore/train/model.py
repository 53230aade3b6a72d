"""A network, its name in the state, and what it reads of a batch."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.errors import UsageError
from dlcore.models.apply import apply
from dlcore.train.step import Batch, Extra, Loss, Objective, Out, Params

# (params, extra, batch, key, train) -> (logits, extra)
Logits = Callable[[Params, Extra, Batch, Array | None, bool], tuple[Array, Any]]

# (batch, key, train) -> an array, a tuple of arguments, or (arguments, keywords)
Inputs = Callable[[Batch, Array | None, bool], Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A Linen module, its parameters' name, and how a batch becomes its arguments: a `Logits`.

    Attributes:
        name: where `params` and `extra` hold its variables.
        net: the module.
        inputs: (batch, key, train) -> one array, a plain tuple of arguments, or a pair of a tuple
            of arguments and a dict of keywords. The only place that casts, scales, augments. `key`
            is the loss's key, not folded (dropout gets the same one), and None at initialisation
            and in inference; `train` is then False.
        output: (y, batch) -> what `__call__` returns in place of the network's output y.

    Precision: with bfloat16 parameters (`--precision bf16` rounds them) the float32 arrays of the
    arguments are rounded to bfloat16 too, after `inputs`; nothing else of a batch is. With other
    parameters arguments keep their bits.
    """

    name: str
    net: nn.Module
    inputs: Inputs
    output: Callable[[Any, Batch], Any] | None = None

    def init(self, key: Array, batch: Batch) -> dict[str, Any]:
        """The variables of the network, drawn with `key` for arguments of the shapes of `batch`."""
        arguments, keywords = _split(self.inputs(batch, None, False))
        return dict(self.net.init(key, *arguments, **keywords))

    def __call__(
        self, params: Params, extra: Extra, batch: Batch, key: Array | None, train: bool
    ) -> tuple[Any, dict[str, Any]]:
        """The output for a batch, after `output`, and `extra` with the state after this pass."""
        arguments, keywords = _split(self.inputs(batch, key, train))
        how = {"key": key, "train": train, "row": batch.get("row"), **keywords}
        y, extra = self.apply(params, extra, *arguments, **how)
        return y if self.output is None else self.output(y, batch), dict(extra)

    def apply(
        self,
        params: Params,
        extra: Extra,
        *arguments: Any,
        key: Array | None = None,
        train: bool = False,
        row: Array | None = None,
        **keywords: Any,
    ) -> tuple[Any, dict[str, Any]]:
        """The network on arguments of its own, past `inputs` and `output`.

        Args:
            params, extra: of all models, by name.
            arguments, keywords: the module's; `method` chooses another of its methods.
            key: of dropout; None for none.
            train, row: passed on if the method has parameters of these names. row: [batch], int32.

        Returns:
            The output, and `extra` with the state after this pass.
        """
        module: Any = type(self.net)
        accepted = _accepted(module, keywords.get("method"))
        how = {name: value for name, value in (("train", train), ("row", row)) if name in accepted}
        if _is_bfloat16(params[self.name]):
            arguments, keywords = jax.tree.map(_rounded, (arguments, keywords))
        return apply(self.net, self.name, params, extra, *arguments, key=key, **how, **keywords)

    def on(self, params: Params, extra: Extra, *arguments: Any, **keywords: Any) -> Any:
        """The output alone of `apply` in inference."""
        return self.apply(params, extra, *arguments, **keywords)[0]


def init_of(models: Iterable[Model]) -> dict[str, Callable[[Array, Batch], Mapping[str, Any]]]:
    """{name: (key, batch) -> variables} of models, as `Experiment.init` takes it.

    Raises UsageError where two models have the same name.
    """
    found: dict[str, Callable[[Array, Batch], Mapping[str, Any]]] = {}
    for model in models:
        if model.name in found:
            raise UsageError(
                f"two models have the name {model.name!r}: parameters have one owner, rename one"
            )
        found[model.name] = model.init
    return found


def augment_batch(
    objectives: Mapping[str, Objective], change: Callable[[Batch, Array], Batch]
) -> dict[str, Objective]:
    """The objectives with losses that see `change(batch, key)` in training, else the batch itself.

    `key` is the one that the loss gets.
    """

    def changed(loss: Loss) -> Loss:
        def on_changed(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
            return loss(params, extra, change(batch, key) if train else batch, key, train)

        return on_changed

    return {
        name: objective._replace(loss=changed(objective.loss))
        for name, objective in objectives.items()
    }


def _split(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments and keywords of what `Model.inputs` returned. A NamedTuple is one argument."""
    if type(inputs) is not tuple:
        return (inputs,), {}
    if len(inputs) == 2 and type(inputs[0]) is tuple and isinstance(inputs[1], dict):
        return inputs
    return inputs, {}


@functools.lru_cache(maxsize=256)
def _accepted(module: Any, method: Any) -> frozenset[str]:
    """Which of `train` and `row` a method of a module takes by keyword."""
    function = getattr(module, method) if isinstance(method, str) else method or module.__call__
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return frozenset(("train", "row"))
    positional = [
        parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_ONLY
    ]
    return frozenset(p.name for p in parameters if p.name in ("train", "row")) - frozenset(
        positional
    )


def _is_bfloat16(params: Any) -> bool:
    """Whether the floating parameters, of which there are some, are bfloat16."""
    dtypes = {
        leaf.dtype for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.floating)
    }
    return dtypes == {jnp.dtype(jnp.bfloat16)}


def _rounded(x: Any) -> Any:
    return (
        x.astype(jnp.bfloat16)
        if isinstance(x, Array | np.ndarray) and x.dtype == jnp.float32
        else x
    )
