"""A small prepared set with every kind of feature, for the tests of tfds.py and records.py."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.tiny_pictures import BAD, TEST, TRAIN, encoded


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepares a data set by TFDS as ArrayRecord, and returns the data folder.

    Example `BAD` of the split "bad" has an image that cannot be decoded.
    """
    import tensorflow_datasets

    class TinyPictures(tensorflow_datasets.core.GeneratorBasedBuilder):
        VERSION = tensorflow_datasets.core.Version("1.10.0")
        pkg_dir_path = tmp_path_factory.mktemp("package")

        def _info(self) -> Any:
            kinds = tensorflow_datasets.features
            features = {
                "image": kinds.Image(shape=(4, 5, 1)),
                "label": kinds.ClassLabel(names=["even", "odd"]),
                "number": np.int64,
                "point": kinds.Tensor(shape=(2,), dtype=np.float32),
                "tags": kinds.Sequence(np.int64),
                "word": kinds.Text(),
            }
            return self.dataset_info_from_configs(features=kinds.FeaturesDict(features))

        def _split_generators(self, manager: Any) -> dict[str, Any]:
            splits = (("train", TRAIN, -1), ("test", TEST, -1), ("bad", 5, BAD))
            return {split: self._generate_examples(count, bad) for split, count, bad in splits}

        def _generate_examples(self, count: int, bad: int) -> Iterator[tuple[int, dict[str, Any]]]:
            for number in range(count):
                picture = io.BytesIO(b"no picture" if number == bad else encoded(number))
                rest = {
                    "number": number + 2**40,
                    "point": [number, 0.5],
                    "tags": [1] * (number % 3),
                    "word": f"word {number}",
                }
                yield number, {"image": picture, "label": number % 2, **rest}

    root = tmp_path_factory.mktemp("prepared")
    TinyPictures(data_dir=root).download_and_prepare(file_format="array_record")
    return root


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a cache folder for decoded data, shared by all tests of the session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def places(cache: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets TFDS_DATA_DIR to the data set of `tiny`, and DLCORE_CACHE to the folder of `cache`."""
    monkeypatch.setenv("DLCORE_CACHE", str(cache))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny))
