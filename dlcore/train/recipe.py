"""An optimizer and its learning-rate schedule as one dataclass, whose fields are flags."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from dlcore import bounds
from dlcore.bounds import NonNegativeFloat, PositiveInt, Probability, Range, Rate
from dlcore.errors import UsageError
from dlcore.sharding import STACKED
from dlcore.train import optim
from dlcore.train.optim import Averaged, Tree
from dlcore.train.schedules import Schedule, curve

Kind = Literal[
    "sgd",
    "adam",
    "adamw",
    "rmsprop",
    "lion",
    "muon",
    "adafactor",
    "lamb",
    "schedule_free_adamw",
]
_MADE_BY_OPTIM = ("sgd", "adam", "adamw", "lion", "muon")
_WITH_END = ("linear", "cosine", "wsd", "restarts")
_BLOCK = re.compile(r"(?:^|/)block_(\d+)(?=/|$)")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Describes how parameters are trained; a call returns the Optax transformation.

    `recipe(steps, ema=0.0)` takes the number of updates, and the decay of an average of the
    parameters (`optim.averaged`; 0: none).

    Attributes:
        optimizer: sgd, adam (Kingma & Ba 2015; its weight decay is coupled: L2 regularisation),
            adamw (Loshchilov & Hutter 2019), rmsprop (Hinton 2012), lion (Chen et al. 2023), muon
            (Jordan et al. 2024, for kernels of dense layers; Adam for the rest), adafactor (Shazeer
            & Stern 2018), lamb (You et al. 2020), schedule_free_adamw (Defazio et al. 2024; needs
            the schedule constant, and no `ema`).
        lr: the peak learning rate.
        end: the last learning rate as a fraction of `lr`; of linear, cosine, wsd and restarts.
        warmup: linear warm-up from 0: a fraction of the steps if below 1; else a number of steps,
            but no more than a fifth of all steps, so that short runs descend too.
        schedule: what follows the warm-up, see `dlcore.train.schedules`.
        weight_decay: of matrices alone (`optim.matrices`), see `decay_coupling`.
        clip_norm: largest global norm of the gradient; 0: no clipping.
        b1: momentum of sgd, muon, rmsprop and adafactor, the first beta of the others. None: 0.9,
            but no momentum for rmsprop and adafactor.
        b2: the second beta; None: 0.999, but 0.99 for lion, 0.9 for rmsprop. sgd and adafactor
            have none and ignore it.
        nesterov: whether the momentum of sgd is Nesterov's.
        layer_decay: the learning rate of layer i, of L, is multiplied by layer_decay ** (L - i).
            Layers are modules named block_i (from 0), or stacked ones. Modules whose names begin
            with "embed", "stem", "patch" or "positions" count as layer -1; all others, such as the
            head, have the full rate.
        drops: of the schedule step: fractions of the steps at which the rate drops.
        drop_factor: of step: the factor by which the rate drops (He et al. 2016).
        decay_fraction: of wsd: fraction of the steps, at the end, in which the rate decays.
        cycles: of restarts: number of cycles.
        cycle_growth: of restarts: ratio of the lengths of a cycle and the one before.
        decay_coupling: decoupled: a step subtracts learning rate * weight_decay * parameter, but
            lamb adds weight_decay * parameter to the update before the trust ratio; coupled: it is
            added to the clipped gradient (L2 regularisation), as PyTorch's SGD does; auto: coupled
            for adam, decoupled for all others.
    """

    optimizer: Kind = "adamw"
    lr: NonNegativeFloat = 1e-3
    end: Probability = 0.0
    warmup: NonNegativeFloat = 0.05
    schedule: Schedule = "cosine"
    weight_decay: NonNegativeFloat = 0.0
    clip_norm: NonNegativeFloat = 0.0
    b1: Rate | None = None
    b2: Rate | None = None
    nesterov: bool = True
    layer_decay: Annotated[float, Range(0, 1, "(]")] = 1.0
    drops: tuple[Annotated[float, Range(0, 1, "()")], ...] = (0.5, 0.75)
    drop_factor: Annotated[float, Range(0, 1, "()")] = 0.1
    decay_fraction: Annotated[float, Range(0, 1, "(]")] = 0.2
    cycles: PositiveInt = 3
    cycle_growth: PositiveInt = 2
    decay_coupling: Literal["auto", "coupled", "decoupled"] = "auto"

    def __post_init__(self) -> None:
        # A card stores 1.0 as 1: converted here, so that a recipe read from a card is equal.
        for name in ("lr", "end", "warmup", "weight_decay", "clip_norm"):
            object.__setattr__(self, name, float(getattr(self, name)))

    def __call__(self, steps: int, ema: float = 0.0) -> optax.GradientTransformation:
        """Returns the optimizer for a number of updates.

        Args:
            steps: number of updates, at least 1.
            ema: decay of an average of the parameters (`optim.averaged`); 0: no average.

        Raises:
            UsageError: a number outside its range, or two fields that exclude each other.
        """
        self._check(steps)
        if not 0 <= ema < 1:
            raise UsageError(
                f"--ema {ema} is outside [0, 1): it is the decay of an average per step"
            )
        rate = self._rate(steps)
        if self.optimizer == "schedule_free_adamw":
            if ema:
                raise UsageError(
                    f"--ema {ema}: schedule_free_adamw keeps an average of its own; give 0"
                )
            return self._schedule_free(rate)
        optimizer = self._optimizer(rate)
        if self.layer_decay != 1:
            optimizer = optax.chain(optimizer, layerwise(self.layer_decay))
        return optim.averaged(optimizer, ema) if ema else optimizer

    def rate(self, steps: int) -> optax.Schedule:
        """Returns the learning rate as a function of the step, counted from 0.

        Raises:
            UsageError: a number outside its range, or two fields that exclude each other.
        """
        self._check(steps)
        rate = self._rate(steps)
        return rate if callable(rate) else optax.constant_schedule(rate)

    def warmup_steps(self, steps: int) -> int:
        """Returns the number of warm-up steps among `steps` steps."""
        if self.warmup >= 1:
            return optim.short_warmup(int(self.warmup), steps)
        # 0.1 * 30 steps are 3, whatever 0.1 is in binary
        return math.floor(self.warmup * steps + 1e-9)

    def _rate(self, steps: int) -> float | optax.Schedule:
        """The learning rate: a number where it is constant, so that no step count is kept."""
        warmup = self.warmup_steps(steps)
        if self.schedule == "constant" and not warmup:
            return self.lr
        return curve(self, steps, warmup)

    def _optimizer(self, rate: float | optax.Schedule) -> optax.GradientTransformation:
        if self.optimizer in _MADE_BY_OPTIM and (self.nesterov or self.optimizer != "sgd"):
            b1 = 0.9 if self.b1 is None else self.b1
            return optim.make(
                self.optimizer,  # type: ignore[arg-type]
                rate,
                weight_decay=self.weight_decay,
                clip_norm=self.clip_norm,
                momentum=b1,
                b2=self.b2,
                coupled=self._is_coupled,
            )
        # The trust ratio of lamb is computed from the update including its weight decay.
        trust_ratio = [optax.scale_by_trust_ratio()] if self.optimizer == "lamb" else []
        scaled = [*self._with_decay(self._scaled()), *trust_ratio]
        return optax.chain(*self._clip(), *scaled, optax.scale_by_learning_rate(rate))

    def _scaled(self) -> list[optax.GradientTransformation]:
        """The transformation of gradients to updates, without learning rate and weight decay."""
        momentum = 0.0 if self.b1 is None else self.b1
        if self.optimizer == "sgd":
            return [optax.trace(0.9 if self.b1 is None else self.b1)]
        if self.optimizer == "rmsprop":
            scale = optax.scale_by_rms(0.9 if self.b2 is None else self.b2)
            return [scale, optax.trace(momentum)] if momentum else [scale]
        if self.optimizer == "adafactor":
            chain = [optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0)]
            chain.append(optax.scale_by_param_block_rms())
            return [*chain, optax.ema(momentum, debias=False)] if momentum else chain
        b1, b2 = self._betas()
        return [optax.scale_by_adam(b1, b2, eps=1e-6)]  # lamb's epsilon

    def _betas(self) -> tuple[float, float]:
        return 0.9 if self.b1 is None else self.b1, 0.999 if self.b2 is None else self.b2

    def _clip(self) -> list[optax.GradientTransformation]:
        return [optax.clip_by_global_norm(self.clip_norm)] if self.clip_norm else []

    @property
    def _is_coupled(self) -> bool:
        if self.decay_coupling == "auto":
            return self.optimizer == "adam"
        return self.decay_coupling == "coupled"

    def _with_decay(
        self, scaled: list[optax.GradientTransformation]
    ) -> list[optax.GradientTransformation]:
        """Adds the weight decay, before the scaling of the gradient or after it."""
        if not self.weight_decay:
            return scaled
        decay = optax.add_decayed_weights(self.weight_decay, mask=optim.matrices)
        return [decay, *scaled] if self._is_coupled else [*scaled, decay]

    def _schedule_free(self, rate: float | optax.Schedule) -> optax.GradientTransformation:
        """Schedule-free AdamW; its average is kept in `Averaged`, which evaluation reads."""
        b1, b2 = self._betas()
        rms = optax.scale_by_rms(b2, eps_in_sqrt=False, bias_correction=True)
        by_layer = [layerwise(self.layer_decay)] if self.layer_decay != 1 else []
        scaled_by_rate = optax.scale_by_learning_rate(rate)
        base = optax.chain(*self._clip(), *self._with_decay([rms]), scaled_by_rate, *by_layer)
        inner = contrib.schedule_free(base, rate, b1)

        def update(
            grads: Tree,
            state: Averaged,
            params: Tree | None = None,
        ) -> tuple[Tree, Averaged]:
            updates, inner_state = inner.update(grads, state.inner, params)
            new_params = jax.tree.map(lambda p, u: p + u, params, updates)
            return updates, Averaged(
                inner_state, contrib.schedule_free_eval_params(inner_state, new_params)
            )

        def init(params: Tree) -> Averaged:
            return Averaged(inner.init(params), params)

        return optax.GradientTransformation(init, update)  # type: ignore[arg-type]

    def _check(self, steps: int) -> None:
        """Raises UsageError, which names the field, for invalid or contradictory values."""
        bounds.check(self)
        if steps < 1:
            raise UsageError(f"--steps {steps} is too small: an optimizer needs 1 at least")
        if self.warmup > 1 and self.warmup != int(self.warmup):
            raise UsageError(
                f"--warmup {self.warmup} is neither a fraction nor a number of steps: give one"
            )
        if self.end and self.schedule not in _WITH_END:
            usable = ", ".join(_WITH_END)
            raise UsageError(
                f"--end {self.end} does not apply to --schedule {self.schedule}: choose {usable},"
                " or --end 0"
            )
        if self.schedule == "step" and list(self.drops) != sorted(set(self.drops)):
            raise UsageError(
                f"--drops {self.drops} must be fractions of the steps in ascending order"
            )
        if self.schedule == "restarts" and self.cycles > steps - self.warmup_steps(steps):
            raise UsageError(f"--cycles {self.cycles} do not fit into {steps} steps: give fewer")
        if self.optimizer == "schedule_free_adamw":
            self._check_schedule_free()

    def _check_schedule_free(self) -> None:
        if self.schedule != "constant":
            raise UsageError(
                f"--schedule {self.schedule}: schedule_free_adamw averages instead of a schedule;"
                " choose --schedule constant, with a warm-up"
            )
        if self.b1 == 0:
            raise UsageError(
                "--b1 0.0: schedule_free_adamw divides by it; give more than 0, as 0.9"
            )


def layerwise(factor: float) -> optax.GradientTransformation:
    """Scales the updates of layer i of L by factor ** (L - i), see `Recipe.layer_decay`.

    Source: Clark et al. 2020 (ELECTRA), Bao et al. 2022 (BEiT).

    Args:
        factor: in (0, 1].

    Raises:
        UsageError: no parameter is in a layer (at the first update, while it is traced).
    """

    def update(
        updates: Tree, state: optax.OptState, params: Tree | None = None
    ) -> tuple[Tree, optax.OptState]:
        depth = _depth(updates)
        scaled = jax.tree_util.tree_map_with_path(
            lambda path, u: u * _factors(_name(path), u, factor, depth), updates
        )
        return scaled, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _factors(name: str, update: jax.Array, factor: float, depth: int) -> float | jax.Array:
    """The factor of an update: a number, or an array over the leading axis of stacked layers."""
    if STACKED.search(name):
        powers = jnp.asarray(factor, update.dtype) ** jnp.arange(depth, 0, -1, dtype=update.dtype)
        return powers.reshape(-1, *(1,) * (update.ndim - 1))
    if match := _BLOCK.search(name):
        return factor ** (depth - int(match[1]))
    first = any(
        part.startswith(("embed", "stem", "patch", "positions")) for part in name.split("/")
    )
    return factor ** (depth + 1) if first else 1.0


def _depth(tree: Tree) -> int:
    """The number of layers. UsageError: no parameter is in a layer."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    numbered = [int(match[1]) + 1 for path, _ in leaves if (match := _BLOCK.search(_name(path)))]
    stacked = [leaf.shape[0] for path, leaf in leaves if STACKED.search(_name(path))]
    if not numbered + stacked:
        raise UsageError("--layer-decay finds no layers (modules block_N or blocks): give 1")
    return max(numbered + stacked)


def _name(path: jax.tree_util.KeyPath) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
