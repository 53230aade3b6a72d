"""Two generators and two critics translate between filled and outlined digits without pairs.

Family: GAN
Task: image translation
Data: MNIST 3.0.1 (TFDS), half as outlines; --offline: scikit-learn's digits at 28x28
Published: none for these styles
Headline: test/error_to_b

Both styles are trained on different digits. The pairs of the test split are known by construction:
metrics are squared errors against them, and the fraction of digits a classifier still recognises.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax.numpy as jnp

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt, Range
from dlcore.data.sets import unpaired
from dlcore.models.cyclegan import PatchCritic, Translator
from dlcore.tasks import image_translation
from dlcore.train import DataSource, Experiment, Model, Objective, Out, Recipe, Splits, mean

CLASSIFIER = Path(__file__).with_name("assets") / "mnist_classifier.npz"  # cnn_mnist, exported


@dataclass(frozen=True)
class Config:
    width: Annotated[int, Range(4)] = 32
    depth: PositiveInt = 3
    cycle: NonNegativeFloat = 10.0  # weight of the cycle loss
    recipe: Recipe = Recipe("adam", lr=4e-4, warmup=0, schedule="linear", b1=0.5)
    batch: int = 16
    steps: int = 1500


PRESETS = {
    "offline": Config(width=24, steps=800),
    "tiny": Config(width=4, depth=1, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return unpaired.load(source)


def build(c: Config, splits: Splits) -> Experiment:
    to_b = Model("to_b", Translator(c.width, c.depth), inputs=image_translation.inputs("a"))
    to_a = Model("to_a", Translator(c.width, c.depth), inputs=image_translation.inputs("b"))
    critic_a = Model("critic_a", PatchCritic(c.width), inputs=image_translation.inputs("a"))
    critic_b = Model("critic_b", PatchCritic(c.width), inputs=image_translation.inputs("b"))

    def critic_loss(critic, generator):
        # least squares (Mao et al. 2017): 1 for real patches, 0 for translated ones
        def loss(params, extra, batch, key, train):
            real = critic(params, extra, batch, key, train)[0]
            false = critic.on(params, extra, generator(params, extra, batch, key, train)[0])
            each = ((real - 1) ** 2 + false**2).mean((1, 2)) / 2
            difference = mean((real - false).mean((1, 2)), batch["mask"])
            return Out(mean(each, batch["mask"]), {"score_difference": difference}, extra)

        return loss

    def generator_loss(forth, back, critic):
        # deceives the critic, and both ways back lead to the picture (Zhu et al. 2017, eq. 3)
        def loss(params, extra, batch, key, train):
            made = forth(params, extra, batch, key, train)[0]
            other = back(params, extra, batch, key, train)[0]
            first = back.on(params, extra, made) - forth.inputs(batch, key, train)
            second = forth.on(params, extra, other) - back.inputs(batch, key, train)
            cycle = jnp.abs(first).mean((1, 2, 3)) + jnp.abs(second).mean((1, 2, 3))
            score = ((critic.on(params, extra, made) - 1) ** 2).mean((1, 2))
            metrics = {"cycle": mean(cycle, batch["mask"]), "score": mean(score, batch["mask"])}
            return Out(mean(score + c.cycle * cycle, batch["mask"]), metrics, extra)

        return loss

    return Experiment(
        config=c,
        splits=splits,
        models=[to_b, to_a, critic_a, critic_b],
        objectives={
            "critic_a": Objective(critic_loss(critic_a, to_a), c.recipe(c.steps)),
            "critic_b": Objective(critic_loss(critic_b, to_b), c.recipe(c.steps)),
            "to_b": Objective(generator_loss(to_b, to_a, critic_b), c.recipe(c.steps)),
            "to_a": Objective(generator_loss(to_a, to_b, critic_a), c.recipe(c.steps)),
        },
        evaluators=[image_translation.evaluator(to_b, to_a, splits, CLASSIFIER)],
        samples=[image_translation.samples(to_b, to_a, splits)],
        predictor=image_translation.predictor(to_b, to_a, splits.facts),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
