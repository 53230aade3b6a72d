"""Pretrained weights of readers, and whether they have read the texts of the test."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

from dlcore import files
from dlcore.data.sets.question_windows import QuestionWindows
from dlcore.data.sets.questions import NAME
from dlcore.data.splits import Splits
from dlcore.train import weights
from dlcore.train.weights import Weights

TESTED = "xquad"  # the documents of english_text that are paragraphs of SQuAD's development set


def load(pretrained: str, splits: Splits) -> dict[str, Weights]:
    """Returns the `Experiment.load` of a reader with a pretrained encoder.

    Emits a UserWarning where the data are SQuAD's and the weights may have learned from its
    development set: those of a run on english_text with its `TESTED`, of a run that began with
    other weights, and of a file, which does not say on which text it was trained.

    Args:
        pretrained: a run or an .npz file, see `Weights`; "": nothing is pretrained.
        splits: of questions; without opened data (`Splits.from_facts`) there is no warning.
    """
    if (
        pretrained
        and _is_squad(splits)
        and os.path.exists(pretrained)
        and (why := _reason(Path(pretrained)))
    ):
        warnings.warn(
            f"--pretrained {pretrained}: {why}. {TESTED} has paragraphs of SQuAD's development set,"
            " on which this run is tested: its scores may be too high. Name the folder of a run of"
            " `dlcore train bert_english --preset clean`, which leaves them out",
            stacklevel=2,
        )
    heads = {"heads": 4}  # of `models.reader.encoder_reader`
    return weights.of(pretrained, {"net/text": "net/text"}, heads)


def warn_of_tokens(splits: Splits) -> None:
    """Warns that the subwords of assets/bert_english.json were counted in texts of the test."""
    if _is_squad(splits):
        warnings.warn(
            "the subwords are those of assets/bert_english.json, learned from english_text with"
            f" its {TESTED}, paragraphs of SQuAD's development set, on which this run is tested."
            " --pretrained RUN of `dlcore train bert_english --preset clean` has others",
            stacklevel=2,
        )


def _is_squad(splits: Splits) -> bool:
    """Whether the test is SQuAD's, and its data are open."""
    return isinstance(splits.test, QuestionWindows) and splits.test.info.name == NAME


def _reason(path: Path) -> str:
    """Why the weights may have learned from `TESTED`; "": they have not."""
    try:
        card = json.loads(files.read(path / "card.json"))
        corpus, config = card["data"]["train"]["name"], card["config"]
        without, before = config.get("without", ()), config.get("pretrained")
        if corpus.startswith("english_text") and TESTED not in without:
            return f"this run learned from english_text with its {TESTED}"
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return (
            "there is no card.json that says on which text it was trained; assets/bert_english.npz"
            f" learned from english_text with its {TESTED}"
        )
    return f"this run began with other weights, which may have seen {TESTED}" if before else ""
