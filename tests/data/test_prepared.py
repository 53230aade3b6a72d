"""Finding a prepared set by its name: version, config, and what is said when it is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcore.data import tfds
from dlcore.errors import UsageError


def describe(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(text)


def test_not_prepared_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(UsageError) as error_info:
        tfds.load("cifar10", "train")
    for part in (
        "cifar10 is not prepared in",
        str(tmp_path),
        "`dlcore prepare cifar10`",
        "--offline",
        "TFDS_DATA_DIR",
    ):
        assert part in str(error_info.value)
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert tfds.data_folder() == Path.home() / "tensorflow_datasets"


@pytest.mark.parametrize("name", ["../secret", "a b", "mnist:1", "", "mnist//x"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(UsageError, match="is not a name of a data set"):
        tfds.load(name, "train")


def test_data_elsewhere_than_in_a_folder_is_refused() -> None:
    with pytest.raises(UsageError, match="gs://bucket is a URL: mount or copy it"):
        tfds.load("mnist", "train", data_dir="gs://bucket")


def test_the_highest_version_unless_one_is_named(tmp_path: Path) -> None:
    for version in ("1.9.0", "1.10.0", "3.0.0.incomplete1"):
        describe(tmp_path / "pictures" / version, json.dumps({"fileFormat": "array_record"}))
    (tmp_path / "pictures/2.0.0").mkdir()
    assert tfds.find("pictures", tmp_path).version == "1.10.0"
    assert tfds.find("pictures:1.9.0", tmp_path).version == "1.9.0"
    assert tfds.version("pictures", tmp_path) == "1.10.0"
    with pytest.raises(UsageError, match=r"2\.0\.0 is not prepared in .* but 1.9.0, 1.10.0"):
        tfds.find("pictures:2.0.0", tmp_path)


def test_a_config_must_be_named(tmp_path: Path) -> None:
    for config in ("de", "en"):
        describe(
            tmp_path / "questions" / config / "1.0.0", json.dumps({"fileFormat": "array_record"})
        )
    assert tfds.find("questions/de", tmp_path).name == "questions/de"
    with pytest.raises(
        UsageError,
        match=r"questions is prepared in .* only as questions/de, questions/en: name one of them",
    ):
        tfds.find("questions", tmp_path)


@pytest.mark.parametrize("text", ['{"fileFormat": "tfrecord"}', "{}"])
def test_other_file_formats_are_refused(text: str, tmp_path: Path) -> None:
    describe(tmp_path / "mnist/3.0.1", text)
    with pytest.raises(
        UsageError,
        match=r"prepared as tfrecord, .*: remove .*/mnist/3\.0\.1 and run `dlcore prepare mnist`",
    ):
        tfds.load("mnist", "train", data_dir=tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", json.dumps({"fileFormat": "array_record", "splits": [{}]})]
)
def test_broken_metadata_are_named(text: str, tmp_path: Path) -> None:
    describe(tmp_path / "mnist/3.0.1", text)
    with pytest.raises(UsageError, match=r"dataset_info\.json cannot be read"):
        tfds.load("mnist", "train", data_dir=tmp_path)
