"""A network with the name of its parameters, and how a batch becomes its arguments."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Integer, PRNGKeyArray

from dlcore.errors import UsageError
from dlcore.models.apply import apply
from dlcore.sharding import Tree
from dlcore.train.step import Batch, Extra, Loss, Objective, Out, Params

# (params, extra, batch, key, train) -> (logits, extra)
Logits = Callable[[Params, Extra, Batch, Array | None, bool], tuple[Array, Extra]]

# (batch, key, train) -> an array, a tuple of arguments, or (arguments, keywords)
Inputs = Callable[[Batch, Array | None, bool], Tree]


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A Linen module, the name of its parameters, and how a batch becomes its arguments.

    A model is a function of type `Logits`: called with (params, extra, batch, key, train), where
    params and extra are of all models by name, it returns (result of `output`, extra state of all
    models after the forward pass).

    Attributes:
        name: the entry of `params` and `extra` with the module's variables.
        net: the module.
        inputs: (batch, key, train) -> one array, a plain tuple of arguments, or a pair of a tuple
            of arguments and a dict of keywords. The only place that casts, scales and augments.
            `key` is the key that the loss receives; dropout receives the same key. At
            initialisation and in inference `key` is None and `train` False.
        output: (y, batch) -> the result of `__call__`, from the network's output y. None: y.
        collect: the variable collection that layers write by `sow` and `__call__` makes mutable; y
            is then (y, {collection: values}). "": none. Only for modules that have no collections
            in `extra`.
        unrounded: positions of the arguments that are never rounded, see below; the network casts
            what it computes of them.
        init_as: the name from which the key of the initialisers is derived; "": `name`. Two models
            of one network with the same `init_as` begin with the same parameters.

    Precision: where all floating parameters of the module are bfloat16 (`--precision bf16`), the
    float32 arrays among the arguments are cast to bfloat16 after `inputs`, but those of
    `unrounded`. No other array of a batch is cast, and with other parameters the arguments are not
    changed.
    """

    name: str
    net: nn.Module
    inputs: Inputs
    output: Callable[[Tree, Batch], Tree] | None = None
    collect: str = ""
    unrounded: tuple[int, ...] = ()
    init_as: str = ""

    def init(self, key: PRNGKeyArray, batch: Batch) -> dict[str, Tree]:
        """Initialises the network's variables.

        Args:
            key: of the initialisers.
            batch: a batch, for the shapes of the arguments.

        Returns:
            {collection: variables}, as `flax.linen.Module.init`.
        """
        arguments, keywords = _split(self.inputs(batch, None, False))
        return dict(self.net.init(key, *arguments, **keywords))

    def __call__(
        self, params: Params, extra: Extra, batch: Batch, key: PRNGKeyArray | None, train: bool
    ) -> tuple[Tree, dict[str, Tree]]:
        """Applies the network to a batch.

        Args:
            params, extra: of all models, by name.
            batch: arrays [rows, ...], passed to `inputs`.
            key: of dropout and `inputs`; None: no dropout.
            train: whether batch statistics are updated and dropout is active.

        Returns:
            What `output` makes of the network's output, and the extra state of all models after
            this forward pass.
        """
        arguments, keywords = _split(self.inputs(batch, key, train))
        options = {"key": key, "train": train, "row": batch.get("row"), **keywords}
        if self.collect:
            options["mutable"] = [self.collect]
        y, extra = self.apply(params, extra, *arguments, **options)
        return y if self.output is None else self.output(y, batch), dict(extra)

    def apply(
        self,
        params: Params,
        extra: Extra,
        *arguments: Tree,
        key: PRNGKeyArray | None = None,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
        **keywords: Tree,
    ) -> tuple[Tree, dict[str, Tree]]:
        """Applies the network to arguments, without `inputs` and `output`.

        Args:
            params, extra: of all models, by name.
            arguments, keywords: of the module; `method` chooses another of its methods.
            key: of dropout; None: no dropout.
            train: passed on where the method has a parameter of this name.
            row: int32 [batch], index of each example; passed on like `train`.

        Returns:
            The output, and `extra` as it is after this forward pass.
        """
        accepted = _accepted(type(self.net), keywords.get("method"))  # type: ignore[arg-type]
        options = {
            name: value for name, value in (("train", train), ("row", row)) if name in accepted
        }
        if _is_bfloat16(params[self.name]):
            arguments = tuple(
                x if i in self.unrounded else jax.tree.map(_rounded, x)
                for i, x in enumerate(arguments)
            )
            keywords = jax.tree.map(_rounded, keywords)
        return apply(self.net, self.name, params, extra, *arguments, key=key, **options, **keywords)

    def on(self, params: Params, extra: Extra, *arguments: Tree, **keywords: Tree) -> Tree:
        """Returns the output of `apply` in inference, without the extra state."""
        return self.apply(params, extra, *arguments, **keywords)[0]


Initialiser = Callable[[Array, Batch], Mapping[str, Tree]]  # (key, batch) -> variables


def init_of(models: Iterable[Model]) -> dict[str, Initialiser]:
    """Returns the initialisers of models: {name: (key, batch) -> variables}.

    Raises:
        UsageError: two models have the same name.
    """
    initialisers: dict[str, Initialiser] = {}
    for model in models:
        if model.name in initialisers:
            raise UsageError(
                f"two models have the name {model.name!r}: parameters have one owner, rename one"
            )
        initialisers[model.name] = model.init
    return initialisers


def augment_batch(
    objectives: Mapping[str, Objective], augment: Callable[[Batch, Array], Batch]
) -> dict[str, Objective]:
    """Returns objectives whose losses receive an augmented batch in training.

    Args:
        objectives: {name: Objective}.
        augment: (batch, key) -> batch, with the key that the loss receives. In evaluation the loss
            receives the batch itself.
    """

    def augmented(loss: Loss) -> Loss:
        def of_augmented(
            params: Params, extra: Extra, batch: Batch, key: Array, train: bool
        ) -> Out:
            return loss(params, extra, augment(batch, key) if train else batch, key, train)

        return of_augmented

    return {
        name: objective._replace(loss=augmented(objective.loss))
        for name, objective in objectives.items()
    }


def _split(inputs: Tree) -> tuple[tuple[Tree, ...], dict[str, Tree]]:
    """Arguments and keywords of what `Model.inputs` returned. A NamedTuple is one argument."""
    if type(inputs) is not tuple:
        return (inputs,), {}
    if len(inputs) == 2 and type(inputs[0]) is tuple and isinstance(inputs[1], dict):
        return inputs
    return inputs, {}


@functools.lru_cache(maxsize=256)
def _accepted(module: type[nn.Module], method: str | Callable[..., Tree] | None) -> frozenset[str]:
    """Those of `train` and `row` that a method of a module accepts as keywords."""
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


def _is_bfloat16(params: Tree) -> bool:
    """Whether there are floating-point parameters, and all of them are bfloat16."""
    dtypes = {
        leaf.dtype for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.floating)
    }
    return dtypes == {jnp.dtype(jnp.bfloat16)}


def _rounded(x: Tree) -> Tree:
    return (
        x.astype(jnp.bfloat16)
        if isinstance(x, Array | np.ndarray) and x.dtype == jnp.float32
        else x
    )
