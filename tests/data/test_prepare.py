"""Preparing: from files that were downloaded before, with no network; and what it says when it
cannot.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import requests

from dlcore.data import prepare as module
from dlcore.data import tfds
from dlcore.data.prepare import prepare
from dlcore.errors import UsageError

XQUAD = Path(__file__).parents[2] / "../shared/data/xquad/xquad.en.json.gz"
needs_xquad = pytest.mark.skipif(not XQUAD.is_file(), reason=f"needs {XQUAD}")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise socket.gaierror("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(module, "_RETRIES", 0)


def lay(downloads: Path, dataset: str, url: str, content: bytes) -> None:
    """A file as TFDS leaves it after a download."""
    from tensorflow_datasets.core.download import resource

    checksum = hashlib.sha256(content).hexdigest()
    file = downloads / dataset / resource.get_dl_fname(url, checksum)
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    filename = url.rpartition("/")[2]
    url_info = {"size": len(content), "checksum": checksum, "filename": filename}
    info = {
        "dataset_names": [dataset],
        "original_fname": filename,
        "urls": [url],
        "url_info": url_info,
    }
    file.with_name(file.name + ".INFO").write_text(json.dumps(info))


@pytest.fixture(scope="module")
def xquad() -> bytes:
    return gzip.decompress(XQUAD.read_bytes())


@pytest.mark.slow
@needs_xquad
def test_prepares_from_the_download_cache(
    tmp_path: Path, xquad: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    lay(
        tmp_path / "dl",
        "xquad",
        "https://github.com/deepmind/xquad/raw/master/xquad.en.json",
        xquad,
    )
    folder = prepare("xquad/en", data_dir=tmp_path / "data", download_dir=tmp_path / "dl")
    assert folder == tmp_path / "data/xquad/en/3.0.0"
    assert tfds.find("xquad/en", tmp_path / "data").splits == {"test": 1190}
    out = capsys.readouterr().out.splitlines()
    assert out == [
        f"preparing xquad/en 3.0.0 in {tmp_path}/data, with downloads in {tmp_path}/dl",
        f"prepared xquad/en 3.0.0 in {folder}: test 1,190 examples",
    ]
    shutil.rmtree(tmp_path / "dl")
    assert prepare("xquad/en", data_dir=tmp_path / "data") == folder
    assert capsys.readouterr().out == f"xquad/en 3.0.0 is already prepared in {folder}\n"


@needs_xquad
def test_a_file_laid_in_as_the_message_says_is_taken(tmp_path: Path, xquad: bytes) -> None:
    with pytest.raises(UsageError) as error_info:
        prepare("xquad/en", data_dir=tmp_path)
    message = str(error_info.value)
    file = tmp_path / "downloads/manual/xquad.en.json"
    assert (
        "no network reaches https://github.com/deepmind/xquad/raw/master/xquad.en.json" in message
    )
    assert f"copy the file to {file}" in message
    file.parent.mkdir(parents=True)
    file.write_bytes(xquad[:-1] + b" ")
    with pytest.raises(UsageError, match=r"xquad/en cannot be downloaded.*wrong checksum"):
        prepare("xquad/en", data_dir=tmp_path)
    file.write_bytes(xquad)
    assert (prepare("xquad/en", data_dir=tmp_path) / "dataset_info.json").is_file()


# the second: TFDS's own, from its thread that extracts
@pytest.mark.parametrize("kind", [ModuleNotFoundError, RuntimeError])
def test_what_tensorflow_is_needed_for_says_so(
    kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*_: Any, **__: Any) -> None:
        raise kind(
            "Error while extracting: No module named 'tensorflow'\nFailed importing tensorflow."
        )

    monkeypatch.setattr(module, "_run", without)
    with pytest.raises(
        UsageError, match=r"kmnist needs TensorFlow.*pip install 'dlcore\[prepare\]'"
    ):
        prepare("kmnist", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("missing", "pip"), [("conllu", "conllu"), ("pydub.utils", "pydub"), ("bs4", "beautifulsoup4")]
)
def test_a_missing_package_is_named(
    missing: str, pip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError(f"No module named '{missing}'", name=missing)

    monkeypatch.setattr(module, "_run", without)
    with pytest.raises(UsageError, match=f"pip install {pip}$"):
        prepare("mnist", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "fashion_mnst",
            "TFDS nor dlcore has a data set 'fashion_mnst': did you mean fashion_mnist",
        ),
        ("xqad/en", "TFDS nor dlcore has a data set 'xqad': did you mean xquad"),
        ("xquad/eng", "xquad has no config 'eng': did you mean en"),
        ("../mnist", "'../mnist' is not a name of a data set"),
        ("atis/large", "atis has no config 'large'"),
        ("atis:9.9.9", "atis:9.9.9 cannot be prepared: dlcore has atis:1.0.0"),
        ("kmnist:1.2.3", r"kmnist:1.2.3 cannot be prepared: .*only: 3\.0\.1"),
        ("bccdd", r"'bccdd': did you mean bccd(?!, bccd)"),  # once, though TFDS has it too
    ],
)
def test_a_wrong_name_is_answered_with_near_ones(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        prepare(name, data_dir=tmp_path)


def test_sets_after_an_import_error_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """TFDS itself stops at the first package that cannot be imported."""
    real = module.importlib.import_module

    def lacks_h5py(name: str, *rest: Any) -> Any:
        if name == "tensorflow_datasets.d4rl":
            raise ModuleNotFoundError("No module named 'h5py'", name="h5py")
        return real(name, *rest)

    monkeypatch.setattr(module.importlib, "import_module", lacks_h5py)
    assert "h5py" in module._import_all()
    assert module._class("xquad").__name__ == "Xquad"
    with pytest.raises(
        UsageError, match=r"Sets that need h5py.* are unknown here: pip install h5py"
    ):
        module._class("d4rl_mujoco_nothing")


def test_files_that_a_person_must_fetch_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match=r"imagenet2012 cannot be prepared: Manual directory(.|\n)*ILSVRC2012_img_train.tar",
    ):
        prepare("imagenet2012", data_dir=tmp_path)


def test_a_place_without_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_run", full)
    with pytest.raises(
        UsageError, match=f"cannot be prepared in {tmp_path}: .*No space left.*TFDS_DATA_DIR"
    ):
        prepare("mnist", data_dir=tmp_path)


def test_a_folder_without_data_is_named(tmp_path: Path) -> None:
    (tmp_path / "mnist/3.0.1").mkdir(parents=True)
    with pytest.raises(
        UsageError, match=r"mnist/3\.0\.1 is there but holds no prepared data: remove it"
    ):
        prepare("mnist", data_dir=tmp_path)


def test_another_file_format_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mnist/3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(
        json.dumps({"name": "mnist", "version": "3.0.1", "fileFormat": "tfrecord"})
    )
    with pytest.raises(UsageError, match=r"prepared as tfrecord.*remove .*dlcore prepare mnist"):
        prepare("mnist", data_dir=tmp_path)


POLARITY = Path(__file__).parents[2] / "../shared/data/sentence_polarity"


@pytest.mark.slow
@pytest.mark.skipif(not POLARITY.is_dir(), reason=f"needs {POLARITY}")
def test_our_own_set_is_prepared_from_files_fetched_by_hand_and_read_as_columns(
    tmp_path: Path,
) -> None:
    folder = prepare("sentence_polarity", data_dir=tmp_path, manual_dir=POLARITY)
    assert folder == tmp_path / "sentence_polarity/1.0.1"
    found = tfds.columns("sentence_polarity", "train", data_dir=tmp_path)
    assert sorted(found) == ["label", "text"]
    assert (len(found["text"]), sum(found["label"])) == (10662, 5331)
    # letters with accents, and none of the pairs that UTF-8 read as Latin-1 gives
    assert sum("é" in text for text in found["text"]) > 50
    assert not any("Ã" in text for text in found["text"])
    sliced = tfds.columns("sentence_polarity", "train[10:12]", ["text"], data_dir=tmp_path)
    assert sliced == {"text": found["text"][10:12]}
    with pytest.raises(UsageError, match="has no feature 'words': it has label, text"):
        tfds.columns("sentence_polarity", "train", ["words"], data_dir=tmp_path)


def test_a_file_fetched_by_hand_must_be_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual/sentence_polarity.zip").write_bytes(b"another")
    with pytest.raises(
        UsageError,
        match=r"sentence_polarity.zip is not the file that the set is made of: its sha256 is",
    ):
        prepare("sentence_polarity", data_dir=tmp_path, manual_dir=tmp_path / "manual")
    with pytest.raises(UsageError, match="there is no folder"):
        prepare("sentence_polarity", data_dir=tmp_path, manual_dir=tmp_path / "nowhere")


def test_a_network_error_without_a_cause_is_a_message_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without(*_: Any, **__: Any) -> None:
        raise requests.exceptions.ConnectionError

    monkeypatch.setattr(module, "_run", without)
    with pytest.raises(
        UsageError, match="kmnist is not downloaded yet and no network reaches its source"
    ):
        prepare("kmnist", data_dir=tmp_path)


def test_a_set_of_ours_without_network_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match=r"no network reaches https://github\.com/Shenggan.*"
        r"use --manual-dir FOLDER \(Put BCCD_Dataset-1\.0\.zip from https://\S+ there\), or",
    ):
        prepare("bccd", data_dir=tmp_path)
