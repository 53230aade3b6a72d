"""The engine; experiment files import what they need of it, and the types of data, from here."""

from dlcore.data.splits import Splits
from dlcore.options import DataSource
from dlcore.train.evaluators import OfState, Scored
from dlcore.train.experiment import Experiment, Published
from dlcore.train.model import Model
from dlcore.train.recipe import Recipe
from dlcore.train.step import Objective, Out, mean
from dlcore.train.text_model import TextModel
from dlcore.train.weights import Weights

__all__ = [
    "DataSource",
    "Experiment",
    "Model",
    "Objective",
    "OfState",
    "Out",
    "Published",
    "Recipe",
    "Scored",
    "Splits",
    "TextModel",
    "Weights",
    "mean",
]
