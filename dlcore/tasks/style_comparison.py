"""Style transfer by a network beside Gatys' optimisation of the pixels of the same photographs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.analysis.neural_style import Optimised, optimise
from dlcore.data.splits import Splits
from dlcore.metrics.known import Metric
from dlcore.samples import Images, Plot, Sample, Series, Table
from dlcore.tasks.style_transfer import Paint, Perceptual, padded, shrunk
from dlcore.train.evaluators import Evaluator, OfState
from dlcore.train.step import State

METRICS = {
    "content": Metric("lower"),
    "style": Metric("lower"),
    "loss_over_optimised": Metric("lower"),
    "loss_over_optimised_of_photograph": Metric(None, baseline_of="loss_over_optimised"),
    "content_of_optimised": Metric(None),
    "style_of_optimised": Metric(None),
    "loss_over_photograph": Metric("lower"),
    "seconds_of_network": Metric("lower", "s"),
    "seconds_of_optimised": Metric(None, "s"),
    "seconds_over_optimised": Metric("lower"),
}
MOST = 4  # photographs that are optimised, of a folder that may have thousands


class Comparison:
    """Compares a network with Gatys' optimisation of pixels, on the first test photographs.

    They are the first `MOST`, in the order of the test split. The optimisation does not depend on
    trained parameters: it is computed once per photograph, at the first use, and kept. `evaluator`
    gives metrics of the comparison, `draw` its pictures.
    """

    def __init__(
        self, paint: Paint, perceptual: Perceptual, splits: Splits, size: int, iterations: int
    ) -> None:
        """Stores what is compared; nothing is computed yet.

        Args:
            paint: (params, extra, photographs) -> pictures, [batch, h, w, 3] in [0, 1] each.
            perceptual: as of `loss`.
            splits: whose test split has `whole`, {name: photograph uint8 [height, width, 3]}.
            size: pixels to which their longer side is reduced.
            iterations: number of updates of the optimisation.
        """
        self.paint, self.perceptual, self.splits = paint, perceptual, splits
        self.size, self.iterations = size, iterations
        self._optimised: dict[str, Optimised] = {}

    def photographs(self) -> dict[str, np.ndarray]:
        """Returns the first `MOST` photographs {name: uint8 [h, w, 3]}, `shrunk` and `padded`."""
        chosen = itertools.islice(self.splits.test.whole.items(), MOST)
        return {name: padded(shrunk(image, self.size)) for name, image in chosen}

    def losses(self, state: State, photograph: np.ndarray) -> Callable[[Array], dict[str, Array]]:
        """Returns the function that computes the losses of one picture against a photograph.

        Args:
            state: of which the frozen parameters are used.
            photograph: uint8 [h, w, 3], gives the content.

        Returns:
            picture [1, h, w, 3] in [0, 1] -> {"content", "style", "total": scalar}.
        """
        content = jnp.asarray(photograph[None].astype(np.float32) / 255)

        def scalar(made: Array) -> dict[str, Array]:
            each = self.perceptual(state.params, state.extra, made, content)
            return {name: value[0] for name, value in each.items()}

        return scalar

    def optimised(self, state: State, name: str, photograph: np.ndarray) -> Optimised:
        """Optimises the pixels of a photograph, once per name.

        Args:
            state: of which the frozen parameters are used.
            name: of the photograph; later calls with this name return the stored result.
            photograph: uint8 [h, w, 3], gives the content, and the pixels to start from.

        Returns:
            The picture of smallest total loss, the curves of the losses, and the seconds.
        """
        if name not in self._optimised:
            pixels, losses = photograph.astype(np.float32) / 255, self.losses(state, photograph)
            self._optimised[name] = optimise(losses, pixels, self.iterations)
        return self._optimised[name]

    def painted(self, state: State, photograph: np.ndarray) -> tuple[np.ndarray, float]:
        """Paints a photograph by the network.

        Args:
            state: trained parameters.
            photograph: uint8 [h, w, 3]; h and w are multiples of 8, as of `photographs`.

        Returns:
            The picture, float32 [1, h, w, 3] in [0, 1], and the seconds it took, without
            compilation.
        """
        paint = jax.jit(self.paint)
        pixels = photograph[None].astype(np.float32) / 255
        jax.block_until_ready(paint(state.params, state.extra, pixels))
        start = time.monotonic()
        made = np.asarray(paint(state.params, state.extra, pixels))
        return made, time.monotonic() - start

    def score(self, state: State) -> dict[str, float]:
        """Computes `METRICS`, averaged over the photographs; a ratio is a mean of their ratios.

        Returns:
            `content` and `style` of the network's pictures, and `..._of_optimised` of the optimised
            ones; the ratios of the network's total loss to that of the optimised picture,
            `loss_over_optimised`, and of the unchanged photograph, `loss_over_photograph`; the
            ratio of the photograph to the optimised picture, `loss_over_optimised_of_photograph`;
            `seconds_of_network` and `seconds_of_optimised`, without compilation, and their ratio
            `seconds_over_optimised`.
        """
        rows = []
        for name, photograph in self.photographs().items():
            losses = jax.jit(self.losses(state, photograph))
            picture, seconds = self.painted(state, photograph)
            made = {k: float(v) for k, v in losses(picture).items()}
            plain = float(losses(photograph[None].astype(np.float32) / 255)["total"])
            optimised = self.optimised(state, name, photograph)
            best = optimised.losses
            rows.append(
                {
                    "content": made["content"],
                    "style": made["style"],
                    "loss_over_optimised": made["total"] / best["total"],
                    "loss_over_optimised_of_photograph": plain / best["total"],
                    "content_of_optimised": best["content"],
                    "style_of_optimised": best["style"],
                    "loss_over_photograph": made["total"] / plain,
                    "seconds_of_network": seconds,
                    "seconds_of_optimised": optimised.seconds,
                    "seconds_over_optimised": seconds / optimised.seconds,
                }
            )
        return {name: float(np.mean([row[name] for row in rows])) for name in METRICS}

    def evaluator(self) -> Evaluator:
        """Returns the evaluator of `score`, which runs at the end, on the split "test"."""
        return OfState("test", self.score, METRICS)

    def draw(self, state: State, key: Array) -> list[Sample]:
        """Shows the network's pictures beside the optimised ones; the key is not used.

        Returns:
            A table of losses and seconds by photograph; then of each photograph an `Images` of it
            and both pictures, and a plot of each loss of the optimisation by iteration.
        """
        shown: list[Sample] = []
        rows: list[tuple[str | float, ...]] = []
        for name, photograph in self.photographs().items():
            made, seconds = self.painted(state, photograph)
            losses = jax.jit(self.losses(state, photograph))(made)
            best = self.optimised(state, name, photograph)
            pictures = np.stack([photograph / 255.0, made[0], best.image])
            captions = ("photograph", "network", f"optimised, {self.iterations} iterations")
            shown.append(
                Images(f"{name}: in one pass, and optimised", pictures, captions, columns=3)
            )
            for kind, curve in sorted(best.curves.items()):
                axis, line = np.arange(len(curve), dtype=np.float64), float(losses[kind])
                series = (
                    Series("optimised", axis, curve),
                    Series("network", axis, np.full(len(curve), line)),
                )
                # the content loss begins at 0
                title = f"{name}: {kind} loss"
                shown.append(Plot(title, "iteration", "loss", series, log_y=kind != "content"))
            for by, found, took in (
                ("network", losses, seconds),
                ("optimised", best.losses, best.seconds),
            ):
                numbers = (round(float(found[k]), 4) for k in ("content", "style", "total"))
                rows.append((name, by, *numbers, round(took, 3)))
        head = ("photograph", "by", "content", "style", "total", "seconds")
        return [Table("Content and style loss, and time", head, tuple(rows)), *shown]
