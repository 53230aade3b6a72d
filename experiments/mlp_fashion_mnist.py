"""A feed-forward network on Fashion-MNIST, with a choice of activation and normalisation.

Family: MLP
Task: image classification
Data: Fashion-MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits at 28x28
Published: test accuracy 0.8833, layers of 256, 128 and 100 (fashion-mnist README)
"""

from dataclasses import dataclass

import dlcore
from dlcore.bounds import NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import images
from dlcore.kernels import activations
from dlcore.models.mlp import MLP, Normalisation
from dlcore.tasks import classification, image_augmentation, image_inputs
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits

MEAN = 0.286  # of the training pixels


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (512, 512)
    activation: activations.Name = "relu"
    norm: Normalisation = "batch"
    dropout: Rate = 0.2
    flip: bool = True
    max_shift: NonNegativeInt = 0
    label_smoothing: Rate = 0.1
    recipe: Recipe = Recipe("adamw", lr=2e-3, weight_decay=0.05, clip_norm=1.0)
    batch: int = 256
    steps: int = 6000


PRESETS = {
    "offline": Config(flip=False, steps=2000),  # mirrored digits are no digits
    "tiny": Config(widths=(16,), norm="layer", flip=False, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return images.load("fashion_mnist", source, training=55_000, multiple=1)


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes

    def pixels(batch, key, train):
        return image_inputs.unit(batch, key, train) - MEAN

    activation = activations.named(c.activation)
    net = MLP(c.widths, len(classes), dropout=c.dropout, activation=activation, norm=c.norm)
    model = Model("net", net, inputs=pixels)
    loss = classification.loss(model, c.label_smoothing)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        augment=image_augmentation.shift_and_flip(c.max_shift, c.flip),
        samples=[classification.samples("Test images", model, splits.test, classes)],
        predictor=classification.predictor(model, splits.facts),
        best="validation/accuracy",
        published=Published("accuracy", 0.8833, "fashion-mnist README, layers of 256, 128, 100"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
