"""The kinds of rows in the table of the learning tests: what an experiment is held to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from dlcore.data.source import Source
from dlcore.tasks.detection_augmentation import Augmentation
from dlcore.train.experiment import Experiment
from tests.experiments import learning, learning_tags
from tests.experiments import learning_baselines as baselines
from tests.experiments.learning import torn
from tests.experiments.learning_baselines import majority, unigram


@dataclasses.dataclass(frozen=True)
class Row:
    """What an experiment is held to.

    metric    "split/name" after training; `better` says which direction is
    baseline  what can be said without having learnt; it is beaten if the metric is better by
              `margin`
    nothing   training data from which nothing can be learnt: trained on them, the metric is not
              better by half of that
    changes   fields of the config that differ from the page's TINY
    """

    metric: str
    baseline: Callable[[Experiment], float]
    margin: float
    nothing: Callable[[Experiment], Source]
    changes: dict[str, Any]
    better: str = "higher"

    def gain(self, value: float, baseline: float) -> float:
        """By how much a value is better than the baseline."""
        return value - baseline if self.better == "higher" else baseline - value

    def changed(self, margin: float = 0.0, **changes: Any) -> Row:
        """The row with more changes, and with another margin if one is given."""
        both = {**self.changes, **changes}
        return dataclasses.replace(self, margin=margin or self.margin, changes=both)


def classifier(margin: float = 0.25, **changes: Any) -> Row:
    """A classifier against its commonest class; the labels are torn from the examples."""
    return Row("validation/accuracy", majority, margin, torn("label"), changes)


def language(margin: float = 0.3, **changes: Any) -> Row:
    """A language model against the frequencies of its tokens; what follows is torn from what it
    follows.
    """
    return Row("validation/loss", unigram, margin, torn("targets"), changes, "lower")


def detector(margin: float, **changes: Any) -> Row:
    """A detector against the same boxes for every image; the images are torn from their boxes."""
    return Row(
        "validation/map_50",
        baselines.same_boxes,
        margin,
        torn("image"),
        {
            "width": 48,
            "height": 48,
            "augmentation": Augmentation(0.9, 1.1, mosaic=0.0, mirror=False, colour=0.0),
            **changes,
        },
    )


def tagger(metric: str, baseline: str, margin: float) -> Row:
    """A tagger against the most frequent tag of each word; the tags are torn from the words."""
    changes = {"steps": 150, "width": 16, "word_width": 16, "lr": 1e-2}
    return Row(
        f"validation/{metric}", learning_tags.majority(baseline), margin, torn("tags"), changes
    )


def translator(name: str, margin: float, **changes: Any) -> Row:
    """A translator against one who knows the synthetic language and not the sentence; each sentence
    has another's translation.
    """
    nothing = learning.mistranslated(name, **changes)
    return Row("validation/loss", baselines.without_the_source, margin, nothing, changes, "lower")
