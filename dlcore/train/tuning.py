"""Tuning of a part of a trained model: changes of low rank (LoRA), and freezing by path.

The model's own parameters are frozen: they have no objective, and so no gradient and no optimizer
state. The changes are the parameters of a second model. From both, each step computes the tuned
parameters:

    W + alpha / rank * A B      where a pattern of `low_rank` occurs in the path
    W + C                       where one of `full` does
    W                           elsewhere: frozen

With bfloat16 parameters W is rounded before the sum and the sum once more, so that a change of less
than half a step of bfloat16 (1/256 of W) may be lost in the loss; evaluators and predictions add in
float32.

This saves optimizer state, but neither time nor memory of the step itself, which computes the tuned
matrices and their gradients.

States are not frozen: the running averages of a batch normalisation follow the batches of the
tuning, as they do whenever a network is applied with `train=True`.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
"""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array
from jaxtyping import PRNGKeyArray

from dlcore.errors import UsageError
from dlcore.metrics.known import Metric
from dlcore.sharding import EXPERTS, STACKED, Tree
from dlcore.train.evaluators import OfState
from dlcore.train.model import Model
from dlcore.train.step import Batch, Extra, Objective, Params, State

METRICS = {"trained_parameters": Metric(None), "optimizer_bytes": Metric(None)}
Shape = tuple[int, ...]
Merges = Mapping[str, tuple[str, float]]  # {changes: (name of the model that they change, scale)}


class Changes(nn.Module):
    """Holds the trained changes of another network's parameters; the initial changes are 0.

    A call creates the parameters and computes nothing; `Tuned.merged` adds the changes. They are
    one tree "all" with the other network's paths: float32 of the parameter's shape for a change of
    full rank, and for one of low rank A [..., rows, rank] and B [..., rank, columns] at the paths
    that `pair_of` returns.

    Attributes:
        low_rank, full: (path, shape) of the parameters with changes of low and of full rank.
        rank: of the changes of low rank.
        base: the name of the model with these parameters.
        scale: factor of the changes of low rank.
    """

    low_rank: tuple[tuple[str, Shape], ...]
    full: tuple[tuple[str, Shape], ...]
    rank: int
    base: str
    scale: float

    @nn.compact
    def __call__(self) -> None:
        """Creates the parameters: A uniform within +-1 / sqrt(rows of W), B and C zero."""
        self.param("all", self._changes)

    def _changes(self, key: PRNGKeyArray) -> Tree:
        flat: dict[str, Array] = {path: jnp.zeros(shape, jnp.float32) for path, shape in self.full}
        for path, (*stack, rows, columns) in self.low_rank:
            a, b = pair_of(path)
            bound = rows**-0.5
            folded = jax.random.fold_in(key, zlib.crc32(path.encode()))
            shape = (*stack, rows, self.rank)
            flat[a] = jax.random.uniform(folded, shape, jnp.float32, -bound, bound)
            flat[b] = jnp.zeros((*stack, self.rank, columns), jnp.float32)
        return unflatten_dict(flat, sep="/")


def pair_of(path: str) -> tuple[str, str]:
    """Returns the paths of A and B, the change of low rank of a parameter.

    Those of "up/kernel" are "up/a_kernel" and "up/b_kernel".
    """
    parent, _, leaf = path.rpartition("/")
    return f"{parent}/a_{leaf}".lstrip("/"), f"{parent}/b_{leaf}".lstrip("/")


@dataclasses.dataclass(frozen=True, eq=False)
class Tuned:
    """A model with changed parameters, a function of type `Logits` as the model itself is.

    A parameter W of the base model is used as W + scale * A B for a change of low rank (the matrix
    product of A and B), or as W + C for a change C of full rank; others are used unchanged.

    Attributes:
        base: the model, whose own parameters are frozen.
        changes: the model of the changes, which an objective of its name trains.
        scale: factor of the changes of low rank, alpha / rank.
    """

    base: Model
    changes: Model
    scale: float

    @property
    def models(self) -> list[Model]:
        """Both models, for `Experiment.models`."""
        return [self.base, self.changes]

    @property
    def trained(self) -> str:
        """The name of the objective: that of the changes."""
        return self.changes.name

    def merged(self, params: Params) -> Tree:
        """Computes the parameters of the base model with the changes added, in its dtypes.

        Args:
            params: of all models, by name.
        """
        return _changed(params[self.base.name], params[self.changes.name], self.scale)

    def __call__(
        self, params: Params, extra: Extra, batch: Batch, key: PRNGKeyArray | None, train: bool
    ) -> tuple[Tree, dict[str, Tree]]:
        """Applies the tuned model to a batch; arguments and results are those of `Model`."""
        return self.base(self._with_merged(params), extra, batch, key, train)

    def apply(
        self, params: Params, extra: Extra, *arguments: Tree, **keywords: Tree
    ) -> tuple[Tree, dict[str, Tree]]:
        """Applies the tuned model to arguments, as `Model.apply` does."""
        return self.base.apply(self._with_merged(params), extra, *arguments, **keywords)

    def on(self, params: Params, extra: Extra, *arguments: Tree, **keywords: Tree) -> Tree:
        """Returns the output of `apply` in inference."""
        return self.apply(params, extra, *arguments, **keywords)[0]

    def _with_merged(self, params: Params) -> Params:
        return {**params, self.base.name: self.merged(params)}


@dataclasses.dataclass(frozen=True, eq=False)
class Whole:
    """A model of which all parameters are trained, a function of type `Logits` as the model is.

    Like a `Tuned` it has `models`, `trained` and `merged`, but neither `apply` nor `on`.

    Attributes:
        base: the model.
    """

    base: Model

    @property
    def models(self) -> list[Model]:
        """The model, for `Experiment.models`."""
        return [self.base]

    @property
    def trained(self) -> str:
        """The name of the objective: that of the model."""
        return self.base.name

    def merged(self, params: Params) -> Tree:
        """Returns the model's parameters."""
        return params[self.base.name]

    def __call__(
        self, params: Params, extra: Extra, batch: Batch, key: PRNGKeyArray | None, train: bool
    ) -> tuple[Tree, dict[str, Tree]]:
        """Applies the model to a batch; arguments and results are those of `Model`."""
        return self.base(params, extra, batch, key, train)


def of_rank(
    model: Model,
    template: Mapping[str, jax.ShapeDtypeStruct],
    low_rank: Sequence[str],
    rank: int,
    factor: float = 2.0,
) -> Whole | Tuned:
    """Tunes matrices of a model by changes of low rank, or with rank 0 the whole model.

    Args:
        model, template, low_rank: see `tuned`.
        rank: of the changes; 0: all parameters are trained.
        factor: of the changes, alpha / rank.

    Returns:
        The model `Whole(model)` for a rank of 0, else a `Tuned`.

    Raises:
        UsageError: see `tuned`.
    """
    return tuned(model, template, low_rank, (), rank, factor * rank) if rank else Whole(model)


def tuned(
    model: Model,
    template: Mapping[str, jax.ShapeDtypeStruct],
    low_rank: Sequence[str] = (),
    full: Sequence[str] = (),
    rank: int = 8,
    alpha: float = 16.0,
    name: str = "changes",
) -> Tuned:
    """Freezes a model except the parameters whose paths match given patterns.

    Args:
        model: the model; `load=` gives it the parameters of another run.
        template: an abstract batch (`Splits.template`), for the shapes of its parameters.
        low_rank: regular expressions, searched in paths such as "block_0/qkv/kernel": matrices that
            get a change of low rank, one for each layer of a stack and for each expert.
        full: regular expressions: parameters that get a change of full rank. Weight decay pulls
            changes to 0, and so the parameters to those that were loaded.
        rank: of the changes of low rank.
        alpha: a change of low rank is alpha / rank * A B.
        name: of the model of the changes, and so of the objective that trains it.

    Returns:
        The tuned model; its `models` and an objective named `trained` belong into the experiment.

    Raises:
        UsageError: a pattern occurs in no path, no pattern is given, a parameter matches both
            kinds, one that matches `low_rank` is no matrix, or `rank` is not 1 to its smaller side.
    """
    shapes = _shapes(model, template)
    chosen = {
        kind: [path for path in shapes if any(re.search(each, path) for each in patterns)]
        for kind, patterns in (("low_rank", low_rank), ("full", full))
    }
    for pattern in (*low_rank, *full):
        if not any(re.search(pattern, path) for path in shapes):
            raise UsageError(
                f"the pattern {pattern!r} occurs in no parameter of {model.name!r}, which has"
                f" {', '.join(shapes)}: correct it"
            )
    if both := {*chosen["low_rank"]} & {*chosen["full"]}:
        raise UsageError(f"{min(both)} is to be changed by low rank and in full: choose one")
    if not any(chosen.values()):
        raise UsageError(f"nothing of {model.name!r} is trained: give patterns of paths")
    for path in chosen["low_rank"]:
        _check(path, shapes[path], rank)
    if rank < 1:
        raise UsageError(f"a rank of {rank}: it is at least 1")
    pairs = {kind: tuple((path, shapes[path]) for path in paths) for kind, paths in chosen.items()}
    net = Changes(pairs["low_rank"], pairs["full"], rank, model.name, alpha / rank)
    return Tuned(model, Model(name, net, lambda batch, key, train: ()), net.scale)


def merges(models: Iterable[Model]) -> Merges:
    """Returns what `merged` needs, from the models of an experiment; {} where nothing is tuned."""
    return {
        model.name: (model.net.base, model.net.scale)
        for model in models
        if isinstance(model.net, Changes)
    }


def merged(params: Params, merges: Merges) -> dict[str, Tree]:
    """Returns parameters in which tuned models have their changes added, without the changes.

    They are what another run begins with, and what is exported.

    Args:
        params: of all models, by name.
        merges: as of `merges`.

    Raises:
        UsageError: two sets of changes are of the same model.
    """
    out = {name: tree for name, tree in params.items() if name not in merges}
    bases = [base for base, _ in merges.values()]
    if len({*bases}) < len(bases):
        raise UsageError(
            f"{', '.join(merges)} are changes of the same model, of which only one can be exported"
            " or loaded: give each a base model of its own"
        )
    for name, (base, scale) in merges.items():
        out[base] = _changed(params[base], params[name], scale)
    return out


def _changed(params: Tree, changes: Tree, scale: float) -> Tree:
    """A model's parameters, in their dtypes, with the parameters of a `Changes` added."""
    weights, added = flatten_dict(params, sep="/"), flatten_dict(changes["all"], sep="/")
    for path, weight in weights.items():
        a, b = pair_of(path)
        if path in added:
            weights[path] = weight + added[path].astype(weight.dtype)
        elif a in added:
            product = jnp.matmul(added[a], added[b]) * scale
            weights[path] = weight + product.astype(weight.dtype)
    return unflatten_dict(weights, sep="/")


def _shapes(model: Model, template: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, Shape]:
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(model.init, key, dict(template))
    return {path: x.shape for path, x in flatten_dict(variables["params"], sep="/").items()}


def _check(path: str, shape: Shape, rank: int) -> None:
    if len(shape) != 2 + sum(kind.search(path) is not None for kind in (STACKED, EXPERTS)):
        raise UsageError(
            f"{path} has the shape {shape}, and only a matrix has changes of low rank: leave it out"
            " of the patterns, or change it in full"
        )
    if not 1 <= rank <= min(shape[-2:]):
        raise UsageError(
            f"--rank {rank} is outside 1 to {min(shape[-2:])}, the smaller side of {path}"
        )


def evaluator(objectives: Mapping[str, Objective], split: str = "test") -> OfState:
    """Evaluates two measures of the memory of training, at the end, to compare methods of tuning.

    `trained_parameters` is the number of parameters that objectives train, and `optimizer_bytes`
    the size of the states of their optimizers.

    Args:
        objectives: of the experiment.
        split: the split under which both are listed.
    """

    def scores(state: State) -> dict[str, float]:
        trained = {name: state.params[name] for name in objectives}
        states = {
            name: jax.eval_shape(objective.optimizer.init, trained[name])
            for name, objective in objectives.items()
        }
        return {
            "trained_parameters": float(sum(x.size for x in jax.tree.leaves(trained))),
            "optimizer_bytes": float(
                sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(states))
            ),
        }

    return OfState(split, scores, METRICS)
