"""Prepared sets with features of varying length, and records that are decoded when needed."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore.data import cache, tfds_examples
from dlcore.data.mapped import Example
from dlcore.data.stream import Stream
from dlcore.errors import UsageError
from tests.data.tiny_pictures import TRAIN, pictures

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of images of any size with boxes, which TFDS wrote as ArrayRecord."""
    import tensorflow_datasets
    from PIL import Image

    kinds = tensorflow_datasets.features

    class Varied(tensorflow_datasets.core.GeneratorBasedBuilder):
        VERSION = tensorflow_datasets.core.Version("1.0.0")
        pkg_dir_path = tmp_path_factory.mktemp("package")

        def _info(self) -> Any:
            objects = kinds.Sequence({"bbox": kinds.BBoxFeature(), "kind": np.int64})
            features = {"image": kinds.Image(), "objects": objects, "number": np.int64}
            return self.dataset_info_from_configs(features=kinds.FeaturesDict(features))

        def _split_generators(self, manager: Any) -> dict[str, Any]:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
            for number in range(7):
                file = io.BytesIO()
                Image.fromarray(image(number)).save(file, "PNG")
                file.seek(0)
                found = [
                    {"bbox": kinds.BBox(0.0, 0.0, 0.5, (i + 1) / 8), "kind": i}
                    for i in range(number % 4)
                ]
                yield number, {"image": file, "objects": found, "number": number}

    root = tmp_path_factory.mktemp("prepared")
    Varied(data_dir=root).download_and_prepare(file_format="array_record")
    return root


def image(number: int) -> np.ndarray:
    return np.full((2 + number, 9 - number, 3), 20 * number, np.uint8)


def test_lists_boxes_and_images_of_any_size_are_padded(varied: Path) -> None:
    limits = {"image": (8, 9), "objects/bbox": 3, "objects/kind": 3}
    found = tfds_examples.ragged("varied", "train", limits, data_dir=varied)
    batch = found.gather(np.arange(7))
    order = batch["number"].tolist()  # TFDS shuffles
    assert sorted(order) == [*range(7)]
    np.testing.assert_array_equal(batch["objects/bbox_length"], [n % 4 for n in order])
    for row, number in enumerate(order):
        count, pixels = number % 4, image(number)
        np.testing.assert_array_equal(batch["objects/kind"][row, :count], np.arange(count))
        np.testing.assert_allclose(
            batch["objects/bbox"][row, :count, 3], (np.arange(count) + 1) / 8
        )
        assert not batch["objects/bbox"][row, count:].any()
        assert batch["image_size"][row].tolist() == [*pixels.shape[:2]]
        np.testing.assert_array_equal(found.example("image", row), pixels)
    again = tfds_examples.ragged("varied", "train", limits, data_dir=varied)
    assert again.info == found.info
    assert isinstance(again.values["image"], np.ndarray)
    part = tfds_examples.ragged("varied", "train[2:5]", limits, data_dir=varied)
    for name, rows in part.gather(np.arange(3)).items():
        np.testing.assert_array_equal(rows, batch[name][2:5])


def test_damaged_entries_of_the_cache_are_decoded_again(varied: Path) -> None:
    limits = {"objects/kind": 3}
    options = {"features": ["number"], "data_dir": varied}
    before = tfds_examples.ragged("varied", "train", limits, **options)
    values = np.array(before.values["objects/kind"])
    (file,) = [
        path
        for path in (cache.folder() / "tfds" / "varied").rglob("objects%2Fkind.npy")
        if not (path.parent / "image.npy").exists()
    ]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="are damaged"):
        after = tfds_examples.ragged("varied", "train", limits, **options)
    assert after.info == before.info
    np.testing.assert_array_equal(after.values["objects/kind"], values)


def test_what_cannot_be_padded_is_refused(varied: Path) -> None:
    def refused(limits: dict[str, Any], message: str, **options: Any) -> None:
        with pytest.raises(UsageError, match=message):
            tfds_examples.ragged("varied", "train", limits, data_dir=varied, **options)

    refused(
        {"objects/bbox": 3, "objects/kind": 3}, r"'image' of varied varies in shape \(\?, \?, 3"
    )
    refused({"image": 9}, "its limit must give the first 2 axes a size", features=["number"])
    refused({"boxes": 9}, "no feature 'boxes': it has image, number, objects/bbox, objects/kind")
    refused({"objects/kind": 2}, "above the limit 2, as 1 of 7", features=["number"])
    found = tfds_examples.ragged(
        "varied", "train", {"objects/kind": 2}, features=[], longer="truncate", data_dir=varied
    )
    assert found.gather(np.arange(7))["objects/kind"].shape == (7, 2)


@pytest.mark.slow
def test_records_are_decoded_when_a_batch_needs_them() -> None:
    def noisy(example: Example, random: np.random.Generator) -> Example:
        noise = random.integers(0, 9, example["image"].shape, np.uint8)
        return {**example, "image": example["image"] // 2 + noise}

    features = ["image", "label", "number"]
    found = tfds_examples.mapped("tiny_pictures", "train[10:50]", features, noisy)
    whole = tfds_examples.mapped("tiny_pictures", "train", features)
    assert (len(found), len(whole)) == (40, TRAIN)
    batch = found.gather(np.array([0, 7]))
    np.testing.assert_array_equal(batch["number"], whole.gather(np.array([10, 17]))["number"])
    for row, number in enumerate(batch["number"] - 2**40):
        np.testing.assert_array_equal(batch["image"][row], pictures(int(number)))
    stream = Stream(found, 8, 0, np.arange(8))
    other = Stream(pickle.loads(pickle.dumps(found.items)), 8, 0, np.arange(8))
    assert len(other.source) == 40
    np.testing.assert_array_equal(stream.at(3)["image"], stream.at(3)["image"])
    with pytest.raises(UsageError, match=r"record \d cannot be decoded"):
        tfds_examples.mapped("tiny_pictures", "bad", features)
    with pytest.raises(UsageError, match="no feature 'size'"):
        tfds_examples.mapped("tiny_pictures", "train", ["size"])


@pytest.mark.slow
def test_the_fingerprint_of_mapped_records_depends_on_more_than_sizes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fingerprint() -> str:
        return tfds_examples.mapped("tiny_pictures", "train", ["label"]).info.fingerprint

    before, read = fingerprint(), tfds_examples.RecordItems.read

    def other(items: tfds_examples.RecordItems, index: int) -> Example:
        found = read(items, index)
        # a record that the checks of `augment` and `prepare` do not read
        return {**found, "label": 1 - found["label"]} if index == 11 else found

    assert fingerprint() == before
    monkeypatch.setattr(tfds_examples.RecordItems, "read", other)
    assert fingerprint() != before
