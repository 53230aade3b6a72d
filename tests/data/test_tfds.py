"""Prepared sets: the same examples as TFDS gives, decoded once, without TensorFlow."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore.data import tfds
from dlcore.errors import UsageError

REAL = (Path(__file__).parents[2] / "../shared/data/tfds").resolve()
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"needs the prepared sets in {REAL}")
TRAIN, TEST, BAD = 700, 30, 4
FIXED = ("image", "label", "number", "point")


def pictures(number: int) -> np.ndarray:
    return np.random.RandomState(number).randint(0, 256, (4, 5, 1), np.uint8)


def encoded(number: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pictures(number)[..., 0]).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with every kind of feature, written by TFDS as ArrayRecord. Split `bad` holds a picture
    that is none.
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
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def places(cache: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(cache))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny))


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


def test_class_names() -> None:
    assert tfds.class_names("tiny_pictures") == ("even", "odd")
    with pytest.raises(UsageError, match="classes of 'word'; it names those of: label"):
        tfds.class_names("tiny_pictures", "word")


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
    ("written", "start", "stop"),
    [
        ("[:90%]", 0, 27),
        ("[90%:]", 27, 30),
        ("[5:]", 5, 30),
        ("[:-5]", 0, 25),
        ("[-10%:]", 27, 30),
        ("[3:7]", 3, 7),
    ],
)
def test_slices_are_those_of_tfds(written: str, start: int, stop: int) -> None:
    import tensorflow_datasets

    full = tfds.load("tiny_pictures", "test", features=FIXED)
    part = tfds.load("tiny_pictures", f"test{written}", features=FIXED)
    builder = tensorflow_datasets.builder_from_directory(tfds.find("tiny_pictures").folder)
    theirs = [example["number"] for example in builder.as_data_source(split=f"test{written}")]
    np.testing.assert_array_equal(part.arrays["number"], theirs)
    np.testing.assert_array_equal(part.arrays["number"], full.arrays["number"][start:stop])
    assert len(part) == part.info.examples == stop - start
    assert type(part.gather(np.arange(2))["image"]) is np.ndarray


def test_fingerprint_of_a_slice_tells_which_examples() -> None:
    infos = [
        tfds.load("tiny_pictures", f"test{part}", features=("label",)).info
        for part in ("", "[:15]", "[15:]", "[:50%]", "[:100%]")
    ]
    full, first, second, half, all_of_it = (info.fingerprint for info in infos)
    assert len({full, first, second}) == 3
    assert (half, all_of_it) == (first, full)
    assert [info.split for info in infos] == [
        "test",
        "test[:15]",
        "test[15:]",
        "test[:50%]",
        "test",
    ]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("dev", "tiny_pictures 1.10.0 has no split 'dev': it has train, test, bad"),
        ("test[5]", "is no split: write train"),
        ("test[1:2:3]", "is no split: write train"),
        ("test[:5shard]", "is no split: write train"),
        ("train+test", "is no split: write train"),
        ("test[5:5]", "would be examples 5 to 5 of 30"),
        ("test[:31]", "would be examples 0 to 31 of 30"),
        ("test[:200%]", "would be examples 0 to 60 of 30"),
    ],
)
def test_wrong_splits_are_explained(split: str, message: str) -> None:
    with pytest.raises(UsageError) as error_info:
        tfds.load("tiny_pictures", split)
    assert message in str(error_info.value)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (("image", "tags"), "feature 'tags' of tiny_pictures varies in shape (?), "),
        (None, "feature 'tags' of tiny_pictures varies in shape (?), "),
        (("image", "word"), "feature 'word' of tiny_pictures holds no numbers, "),
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


def test_check_reads_both_ends_of_every_split(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    (records,) = tmp_path.rglob("*-test.array_record-*")
    with records.open("rb+") as file:
        file.seek(70_000)
        file.write(b"\xff" * 4000)
        file.truncate(90_000)
    with pytest.raises(UsageError, match=r"split test: (record \d+|its records) cannot be decoded"):
        tfds.check(tfds.find("tiny_pictures", tmp_path))


def test_lost_records_are_named(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    for file in tmp_path.rglob("*-test.array_record-*"):
        file.unlink()
    with pytest.raises(UsageError, match=r"holds no records of test.*dlcore prepare tiny_pictures"):
        tfds.load("tiny_pictures", "test", data_dir=tmp_path)


def test_changed_records_are_decoded_again(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    load = lambda: tfds.load("tiny_pictures", "test", data_dir=tmp_path, features=("label",))  # noqa: E731
    before = load().arrays["label"].filename
    (records,) = tmp_path.rglob("*-test.array_record-*")
    assert load().arrays["label"].filename == before
    os.utime(records, (1, 1))
    assert load().arrays["label"].filename != before


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


def test_plain_values_are_texts_and_lists_of_texts_and_arrays_of_numbers() -> None:
    words, numbers = np.array([b"one", b"two"], object), np.arange(3)
    plain = tfds._plain({"word": b"a", "words": words, "numbers": numbers, "groups": [{"n": 1}]})
    assert plain.pop("numbers") is numbers
    assert plain == {"word": "a", "words": ["one", "two"], "groups": [{"n": 1}]}
