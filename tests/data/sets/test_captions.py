"""Captioned pictures: tokens, scenes that mean what they show, own tables and their faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore.data.own import captions as own
from dlcore.data.sets import captions
from dlcore.data.sets.captions import COLOURS, END, PAD, START, UNKNOWN
from dlcore.errors import UsageError
from tests.data.own import made

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))


def test_words_of_a_name() -> None:
    assert captions.words("keycap: #") == ["keycap", ":", "#"]
    assert captions.words("Woman’s hat, ice-cold") == ["woman’s", "hat", ",", "ice-cold"]


@pytest.mark.slow
def test_tokens_are_shifted_targets_and_come_back_as_text() -> None:
    found = captions.load("offline", 24)
    train, vocabulary = found.train.arrays, found.facts.vocabulary
    assert (train["tokens"][:, 0] == START).all()
    np.testing.assert_array_equal(train["tokens"][:, 1:], train["targets"][:, :-1])
    np.testing.assert_array_equal(train["weight"] > 0, train["targets"] != PAD)
    assert ((train["targets"] == END).sum(1) == 1).all()
    for i in range(50):
        assert captions.text(train["targets"][i], vocabulary) == found.train.captions[i]
    assert train["tokens"].shape[1] == found.facts.longest


def test_words_that_training_lacks_are_unknown() -> None:
    scenes = captions.scenes(24, 300)
    train = scenes["train"]
    other = captions.CaptionedImages(train.arrays, train.info, ("a zebra", *train.captions[1:]))
    found = captions.tokenised({"train": train, "test": other})
    assert found.test.arrays["targets"][0].tolist()[1:3] == [UNKNOWN, END]
    assert "zebra" not in found.facts.vocabulary


def test_scenes_show_the_colours_that_they_name_where_they_say() -> None:
    """The pixels near a named colour lie on the side that the caption says."""
    scenes = captions.scenes(48, 400)["train"]
    checked = 0
    for image, caption in zip(scenes.arrays["image"], scenes.captions, strict=True):
        for relation, axis in (("left of", 1), ("above", 0)):
            if relation not in caption:
                continue
            colours = [caption.split(relation)[i].split()[2] for i in (0, 1)]
            if colours[0] == colours[1]:
                continue
            near = [
                abs(image.astype(int) - np.array(COLOURS[name])).max(-1) <= 20 for name in colours
            ]
            first, second = (np.argwhere(mask)[:, axis].mean() for mask in near)
            assert first < second, caption
            checked += 1
    assert checked > 100


def test_no_caption_of_a_held_out_scene_is_trained_on() -> None:
    scenes = captions.scenes(24, 600)
    each = {split: set(source.captions) for split, source in scenes.items()}
    assert not each["train"] & each["test"]
    assert not each["train"] & each["validation"]
    assert len(each["train"]) > 300


def table(folder: Path, rows: list[str], header: str = "path,caption") -> Path:
    file = folder / "captions.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_own_pictures_with_a_table(tmp_path: Path) -> None:
    for i in range(40):
        made.image(tmp_path / "pets" / f"{i}.png", i, mode="RGB")
    rows = [f'{i}.png,"{"a cat" if i % 2 else "a big dog"}, no {i % 3}"' for i in range(40)]
    found = captions.load(table(tmp_path / "pets", rows), 16)
    assert sum(found.facts.examples.values()) == 40
    assert found.facts.by_hash == ["validation", "test"]
    assert found.facts.fields["image"]["shape"] == [16, 16, 3]
    assert {"cat", "dog", "big"} < set(found.facts.vocabulary)
    named = captions.load(tmp_path / "pets" / "captions.csv", 16)
    assert named.facts.examples == found.facts.examples


def test_faults_of_own_tables_are_named(tmp_path: Path) -> None:
    made.image(tmp_path / "a.png", 1, mode="RGB")

    def refused(*rows: str, header: str = "path,caption") -> str:
        with pytest.raises(UsageError) as error:
            captions.load(table(tmp_path, list(rows), header), 16)
        return str(error.value)

    assert "line 3: there is no file" in refused("a.png,a cat", "b.png,a dog")
    assert "no column 'caption'" in refused("a.png,a cat", header="path,text")
    assert "line 2: 'caption' is empty" in refused("a.png,")
    with pytest.raises(UsageError, match="holds no table"):
        captions.load(made.image(tmp_path / "only" / "a.png", 1, mode="RGB").parent, 16)
    with pytest.raises(UsageError, match="multiple of 8"):
        captions.load("offline", 20)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    """As the emoji are prepared; below the transparent pixels of their files is black."""
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[4:12, 4:12] = (200, 30, 30, 255)
    expected = np.where(pixels[..., 3:] > 0, pixels[..., :3], 255)
    (tmp_path / "own").mkdir()
    full = Image.fromarray(pixels)
    full.save(tmp_path / "own/full.png")
    palette = full.convert("RGB").quantize(2)
    palette.save(tmp_path / "own/palette.png", transparency=palette.getpixel((0, 0)))
    full.convert("RGB").save(tmp_path / "own/opaque.png")
    for name in ("full", "palette"):
        np.testing.assert_array_equal(own.read(tmp_path / f"own/{name}.png", 16), expected)
    opaque = own.read(tmp_path / "own/opaque.png", 16)
    np.testing.assert_array_equal(opaque, pixels[..., :3])


def test_files_of_one_split_are_read_together_and_train_is_needed(tmp_path: Path) -> None:
    for i in range(4):
        made.image(tmp_path / f"{i}.png", i, (8, 8))
    for i, name in enumerate(("train.csv", "validation.csv", "test.csv")):
        (tmp_path / name).write_text(f"path,caption\n{i}.png,a cat\n")
    (tmp_path / "train.tsv").write_text("path\tcaption\n3.png\ta dog\n")
    assert captions.load(tmp_path, 8).train.captions == ("a cat", "a dog")
    (tmp_path / "train.csv").unlink()
    (tmp_path / "train.tsv").unlink()
    with pytest.raises(UsageError, match="has files for test, validation, but none for train"):
        captions.load(tmp_path, 8)
