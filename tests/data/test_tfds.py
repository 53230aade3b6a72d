"""Prepared sets: the same examples as TFDS gives, decoded once, without TensorFlow."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import tfds
from dlcore.errors import UsageError
from tests.data.tiny_pictures import FIXED, TEST, TRAIN, pictures

REAL = (Path(__file__).parents[2] / "../shared/data/tfds").resolve()
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"needs the prepared sets in {REAL}")
pytestmark = pytest.mark.usefixtures("places")


def python(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("split", "count"), [("train", TRAIN), ("test", TEST)])
def test_every_example_is_there_once_with_its_own_values(split: str, count: int) -> None:
    source = tfds.load("tiny_pictures", split, features=FIXED)
    number = source.arrays["number"] - 2**40
    np.testing.assert_array_equal(np.sort(number), np.arange(count))
    for row, n in enumerate(number):
        np.testing.assert_array_equal(source.arrays["image"][row], pictures(int(n)))
    np.testing.assert_array_equal(source.arrays["label"], number % 2)
    np.testing.assert_array_equal(
        source.arrays["point"], np.stack([number, np.full(count, 0.5)], 1)
    )
    dtypes = {key: array.dtype.name for key, array in source.arrays.items()}
    assert dtypes == dict(zip(FIXED, ("uint8", "int32", "int64", "float32"), strict=True))
    assert (source.info.name, source.info.version, source.info.split, len(source)) == (
        "tiny_pictures",
        "1.10.0",
        split,
        count,
    )


@pytest.mark.slow
@needs_real
def test_fashion_mnist_is_what_tfds_gives() -> None:
    import tensorflow_datasets

    source = tfds.load("fashion_mnist", "test", data_dir=REAL)
    theirs = tensorflow_datasets.data_source("fashion_mnist", split="test", data_dir=REAL)
    index = np.random.RandomState(0).choice(len(theirs), 50, replace=False)
    batch = source.gather(index)
    for row, number in enumerate(index):
        example = theirs[int(number)]
        np.testing.assert_array_equal(batch["image"][row], example["image"])
        assert batch["label"][row] == example["label"]
    np.testing.assert_array_equal(np.bincount(source.arrays["label"]), [1000] * 10)
    assert (source.arrays["image"].dtype, source.arrays["label"].dtype) == (np.uint8, np.int32)
    # cards carry it: it must not move with our code
    assert source.info.fingerprint.startswith("6ffdfc93cf16a0dd")


@needs_real
def test_tiny_shakespeare_is_the_published_text() -> None:
    text = "".join(
        tfds.text("tiny_shakespeare", split, data_dir=REAL)
        for split in ("train", "validation", "test")
    )
    assert len(text) == 1_115_394
    assert hashlib.sha256(text.encode()).hexdigest().startswith("86c4e6aa9db7c042")
    assert text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.")


@needs_real
def test_class_names_of_real_sets() -> None:
    names = tfds.class_names("fashion_mnist", data_dir=REAL)
    assert (len(names), names[0], names[-1]) == (10, "T-shirt/top", "Ankle boot")
    assert tfds.class_names("bccd", "objects/label", data_dir=REAL) == ("RBC", "WBC", "Platelets")


@needs_real
def test_ragged_sets_name_the_feature() -> None:
    with pytest.raises(
        UsageError,
        match=r"'objects' of bccd is a group of features.*the features to load \(image\)",
    ):
        tfds.load("bccd", "test", data_dir=REAL, features=("objects",))
    with pytest.raises(UsageError, match=r"xquad is prepared in .* only as xquad/en"):
        tfds.load("xquad", "test", data_dir=REAL)


@pytest.mark.slow
def test_neither_tensorflow_nor_on_the_second_load_tfds_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from dlcore.data import tfds; s = tfds.load('tiny_pictures', 'test',"
        " features=('image', 'label'));print(s.info.fingerprint, 'tensorflow_datasets' in"
        " sys.modules, 'tensorflow' in sys.modules)"
    )
    first, second = (python(program, DLCORE_CACHE=str(tmp_path)).split() for _ in range(2))
    assert first[1:] == ["True", "False"]
    assert second[1:] == ["False", "False"]
    assert first[0] == second[0]


@pytest.mark.slow
def test_two_processes_at_once(tmp_path: Path) -> None:
    program = (
        "from dlcore.data import tfds; print(tfds.load('tiny_pictures', 'train',"
        " features=('image',)).info.fingerprint)"
    )
    environment = {**os.environ, "DLCORE_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", program]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    printed = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert printed == {
        tfds.load("tiny_pictures", "train", features=("image",)).info.fingerprint + "\n"
    }
    assert len(list((tmp_path / "tfds/tiny_pictures/1.10.0").iterdir())) == 1


def test_truncated_cache_is_named_and_rebuilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path))
    before = tfds.load("tiny_pictures", "test", features=("image",))
    (file,) = tmp_path.rglob("image.npy")
    with file.open("rb+") as opened:
        opened.truncate(200)
    with pytest.warns(UserWarning, match=f"{file.parent} are damaged.*image.npy has 200 bytes"):
        again = tfds.load("tiny_pictures", "test", features=("image",))
    assert again.info == before.info
    assert again.arrays["image"].shape == (TEST, 4, 5, 1)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (("image", "tags"), "feature 'tags' of tiny_pictures varies in shape (?), "),
        (None, "feature 'tags' of tiny_pictures varies in shape (?), "),
        (("image", "word"), "feature 'word' of tiny_pictures holds no numbers, "),
        ((), "no features of tiny_pictures are named"),
        (("picture",), "has no feature 'picture': it has image, label, number, point, tags, word"),
    ],
)
def test_features_that_no_array_takes_are_named(
    features: tuple[str, ...] | None, message: str
) -> None:
    with pytest.raises(UsageError) as error_info:
        tfds.load("tiny_pictures", "test", features=features)
    assert message in str(error_info.value)


def test_a_record_that_cannot_be_decoded_is_named() -> None:
    with pytest.raises(
        UsageError,
        match=(
            r"tiny_pictures 1\.10\.0, split bad: record \d cannot be decoded.*dlcore prepare"
            r" tiny_pictures"
        ),
    ):
        tfds.load("tiny_pictures", "bad", features=("image",))


def test_a_data_folder_that_is_read_only(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "data")
    paths = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
    before = [path.stat().st_mtime_ns for path in paths]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert (
        len(tfds.load("tiny_pictures", "test", data_dir=tmp_path / "data", features=("label",)))
        == TEST
    )
    for path in paths:
        path.chmod(0o755)
    assert [
        path.stat().st_mtime_ns for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]
    ] == before


def test_text_is_for_sets_of_one_text() -> None:
    with pytest.raises(
        UsageError,
        match="tiny_pictures/test: a text is a whole split of one example, and test has 30",
    ):
        tfds.text("tiny_pictures", "test", feature="word")
