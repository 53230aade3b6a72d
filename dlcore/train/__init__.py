"""The engine; what an experiment file needs of it can be imported from here."""

from dlcore.train.evaluators import OfState, Scored
from dlcore.train.experiment import Experiment, Published
from dlcore.train.model import Model
from dlcore.train.recipe import Recipe
from dlcore.train.step import Objective, Out, mean
from dlcore.train.text_model import TextModel
from dlcore.train.weights import Weights

__all__ = [
    "Experiment",
    "Model",
    "Objective",
    "OfState",
    "Out",
    "Published",
    "Recipe",
    "Scored",
    "TextModel",
    "Weights",
    "mean",
]
