"""Sizes that do not fit each other: exit code 2 before the first step, and the flags are named."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from tests.cli.conftest import Refused

WIDTHS = ["--widths", *["4"] * 8]


@pytest.mark.quick
@pytest.mark.parametrize(
    ("name", "flags", "mentions"),
    [
        ("segmentation_camvid", ["--blocks", "0"], ("--widths gives 2", "--blocks 1")),
        ("segmentation_nuclei", ["--widths", "4"], ("--widths gives 1", "--blocks 2")),
        ("resnet_cifar10", ["--blocks", "1", "1"], ("--widths gives 1", "--blocks 2")),
        ("simclr_cifar10", ["--blocks", "1", "1"], ("--widths gives 1", "--blocks 2")),
        ("cnn_pneumonia", WIDTHS, ("--widths gives 8 stages", "give 3 widths at most")),
        ("vit_fashion_mnist", ["--patch", "5"], ("--patch 5 does not divide",)),
        ("faces_orl", ["--folds", "21"], ("--folds 21 of 20 people",)),
        ("faces_orl", ["--margin", "9"], ("--margin 9", "at most pi")),
        ("captioning_emoji", ["--decoder", "transformer", "--heads", "3"], ("--heads 3",)),
        ("captioning_emoji", ["--rarest", "99999"], ("--rarest 99999 leaves no word",)),
        ("video_moving_mnist", ["--canvas", "30"], ("a canvas of 30 pixels",)),
        ("style_transfer", ["--crop", "20"], ("crops of 20 pixels",)),
        ("driving_udacity", ["--history", "500"], ("too few for a history of 500",)),
    ],
)
def test_sizes_that_do_not_fit(
    name: str,
    flags: list[str],
    mentions: tuple[str, ...],
    refused: Refused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    words = ["train", name, "--preset", "tiny", "--offline", "--out", "run", *flags]
    refused(*words, mentions=mentions)
    assert not Path("run").exists()
