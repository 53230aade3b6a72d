"""The networks that an experiment's settings choose beside its usual one: each is stopped and
resumed to the same bits, and predicts from its folder.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from dlcore.cli import main as cli
from tests.child import REPOSITORY, card
from tests.runs.test_tuned_runs import interrupted_and_whole

ENCODER = REPOSITORY / "experiments" / "assets" / "bert_english.npz"
QUESTION = json.dumps({"question": "Who is a nurse?", "context": "Zoé met Bob, a nurse, in Oslo."})
LANGUAGE = {
    "ner_conll, pretrained": ("ner_conll", "--pretrained"),
    "ner_conll, no CRF": ("ner_conll", "--no-crf", "--cell", "gru"),
    "pos_ewt, pretrained": ("pos_ewt", "--pretrained"),
    "qa_squad, attention": ("qa_squad", "--encoder", "attention"),
    "qa_squad, encoder": ("qa_squad", "--reader", "encoder"),
    "qa_squad, pretrained": (
        *("qa_squad", "--reader", "encoder", "--width", "128"),
        *("--pretrained", str(ENCODER)),
    ),
    "gpt_speeches, experts": ("gpt_speeches", "--experts", "4"),
    "bert_sst2, head": ("bert_sst2", "--tuning", "head"),
    "bert_sst2, full": ("bert_sst2", "--tuning", "full"),
}
VISION = {
    "video_moving_mnist, convolutional": (
        *("video_moving_mnist", "--network", "convolutional", "--hidden", "8"),
    ),
    "captioning_emoji, transformer": ("captioning_emoji", "--decoder", "transformer"),
    "style_transfer, adain": ("style_transfer", "--network", "adain"),
    "simclr_cifar10, supervised": ("simclr_cifar10", "--labels", "0.5"),
}

pytestmark = pytest.mark.nightly


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def finite(results: dict[str, dict[str, Any]]) -> bool:
    return all(math.isfinite(x) for split in results.values() for x in split.values())


@pytest.mark.parametrize("variant", LANGUAGE)
def test_of_language(variant: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, *settings = LANGUAGE[variant]
    interrupted_and_whole(name, *settings)
    assert finite(card(Path("whole"))["results"])
    text = QUESTION if name == "qa_squad" else "Zoé 🎬 met Bob in São Paulo."
    capsys.readouterr()
    assert cli.main(["predict", "run", "--text", text, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    read = next(answer[key] for key in ("question", "prompt", "text") if key in answer)
    assert read in text


@pytest.mark.parametrize("variant", VISION)
def test_of_vision(variant: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, *settings = VISION[variant]
    interrupted_and_whole(name, *settings)
    assert finite(card(Path("whole"))["results"])
    pixels = np.random.default_rng(0).integers(0, 255, (6, 24, 24), np.uint8)
    first, *rest = map(Image.fromarray, pixels)
    first.save("new.gif", save_all=True, append_images=rest)
    first.convert("RGB").save("new.png")
    file = "new.gif" if name == "video_moving_mnist" else "new.png"
    style = ["--style", "new.png"] if name == "style_transfer" else []
    capsys.readouterr()
    words = ["predict", "run", file, *style, "--json", "--out", "answers"]
    assert cli.main(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"]
    for drawn in answer["files"]:
        with Image.open(Path("answers") / drawn) as image:
            image.load()
