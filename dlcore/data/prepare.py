"""Downloads a data set and writes it by TFDS as ArrayRecord, which is read without TensorFlow."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import io
import logging
import re
import sys
import urllib.error
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlcore.data import builders, tfds
from dlcore.data.own import prepare_text
from dlcore.errors import UsageError

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

# With its 10 retries, each twice as long, TFDS waits 204 s before it reports that there is no
# network; with 5 it waits 6 s.
_RETRIES = 5

# Packages with older builders of TFDS. It stops importing them at the first one that needs a
# package that is not installed, and then does not know the others.
_PACKAGES = (
    "audio",
    "d4rl",
    "graphs",
    "image",
    "image_classification",
    "nearest_neighbors",
    "object_detection",
    "question_answering",
    "ranking",
    "recommendation",
    "rl_unplugged",
    "rlds.datasets",
    "robomimic",
    "robotics",
    "structured",
    "summarization",
    "text",
    "text_simplification",
    "time_series",
    "translate",
    "video",
    "vision_language",
)

# Packages whose name for pip is not the one that Python imports.
_PIP = {
    "apache_beam": "apache-beam",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "skimage": "scikit-image",
}

_MISSING = re.compile(r"No module named '([\w.]+)'")


def prepare(
    name: str,
    *,
    data_dir: str | Path | None = None,
    download_dir: str | Path | None = None,
    manual_dir: str | Path | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Downloads and prepares a data set, unless that was done before.

    Args:
        name: "name[/config][:version]" of a builder of `dlcore.data.builders`, or else of TFDS.
            Without a config the builder's default is prepared. A builder of dlcore makes one
            version only, and another one is refused.
        data_dir: root folder of prepared sets, see `prepared.data_folder`.
        download_dir: folder of downloads; None: downloads/ in the root folder.
        manual_dir: folder with files that were fetched by hand; None: manual/ in the folder of
            downloads.
        say: is called with each message of progress.

    Returns:
        The folder of the prepared set.

    Raises:
        UsageError: unknown name, version or config, missing package, missing `manual_dir` or
            original files, no network and not downloaded before, no disk space, a folder of the set
            without prepared data or in another format, or data that cannot be read back.
    """
    root = tfds.data_folder(data_dir)
    download_folder = Path(download_dir).expanduser() if download_dir else root / "downloads"
    manual_folder = Path(manual_dir).expanduser() if manual_dir else download_folder / "manual"
    if manual_dir and not manual_folder.is_dir():
        raise UsageError(
            f"there is no folder {manual_folder} with files fetched by hand: name another"
            " --manual-dir"
        )
    builder = _builder(name, root)
    full_name = "/".join(
        [builder.name, *([builder.builder_config.name] if builder.builder_config else [])]
    )
    if Path(builder.data_path).exists():
        if not (Path(builder.data_path) / "dataset_info.json").is_file():
            raise UsageError(
                f"{builder.data_path} is there but holds no prepared data: remove it and run"
                f" `dlcore prepare {name}`"
            )
        prepared = tfds.find(f"{full_name}:{builder.version}", root)
        say(f"{full_name} {prepared.version} is already prepared in {prepared.folder}")
        return prepared.folder
    say(f"preparing {full_name} {builder.version} in {root}, with downloads in {download_folder}")
    with _explained(full_name, builder, root, download_folder), _quiet():
        _run(builder, download_folder, manual_folder)
    prepared = tfds.find(f"{full_name}:{builder.version}", root)
    tfds.check(prepared)
    counts = ", ".join(f"{split} {examples:,}" for split, examples in prepared.splits.items())
    say(f"prepared {full_name} {prepared.version} in {prepared.folder}: {counts} examples")
    return prepared.folder


def _run(builder: DatasetBuilder, downloads: Path, manual: Path) -> None:
    import tensorflow_datasets
    from tensorflow_datasets.core.download import downloader

    tensorflow_datasets.display_progress_bar(sys.stderr.isatty())
    config = tensorflow_datasets.download.DownloadConfig(try_download_gcs=False, manual_dir=manual)
    before, downloader.MAX_RETRIES = downloader.MAX_RETRIES, _RETRIES
    try:
        builder.download_and_prepare(
            download_dir=downloads, download_config=config, file_format="array_record"
        )
    finally:
        downloader.MAX_RETRIES = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses prints of TFDS and the warning of every retry; the last message has the cause."""
    retries = logging.getLogger("urllib3.connectionpool")
    before = retries.level
    retries.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        retries.setLevel(before)


def own_sets() -> list[str]:
    """Returns the sorted names of the sets that `dlcore.data.builders` prepares."""
    return sorted(
        path.stem
        for path in Path(builders.__file__).parent.glob("*.py")
        if path.stem not in ("__init__", "files", "idx", "tagged")
    )


def _builder(name: str, root: Path) -> DatasetBuilder:
    """The builder of a set: one of ours, or else one of TFDS.

    Ours come first: those whose name TFDS has too make the same examples without TensorFlow.
    """
    import tensorflow_datasets

    title, config, version = tfds.parts_of(name)
    if title in own_sets():
        ours = importlib.import_module(f"dlcore.data.builders.{title}").Builder
        if version and version != str(ours.VERSION):
            raise UsageError(f"{name} cannot be prepared: dlcore has {title}:{ours.VERSION}")
        if config and config not in (known := list(ours.builder_configs)):
            raise UsageError(f"{title} has no config {config!r}{_nearest(config, known)}")
        return ours(data_dir=root, config=config)
    try:
        with _quiet():
            known = list(_class(title).builder_configs)
            if config and config not in known:
                raise UsageError(f"{title} has no config {config!r}{_nearest(config, known)}")
            return tensorflow_datasets.builder(name, data_dir=root)
    except ImportError as error:
        raise UsageError(_missing(name, error)) from error
    except (ValueError, AssertionError) as error:
        # the message of TFDS begins with its arguments
        cause = str(error).rpartition('}": ')[2].strip()
        raise UsageError(f"{name} cannot be prepared: {cause}") from error


def _class(title: str) -> type[DatasetBuilder]:
    import tensorflow_datasets
    from tensorflow_datasets.core.registered import DatasetNotFoundError

    with contextlib.suppress(DatasetNotFoundError):
        return tensorflow_datasets.builder_cls(title)
    lacking = _import_all()
    with contextlib.suppress(DatasetNotFoundError):
        return tensorflow_datasets.builder_cls(title)
    theirs = tensorflow_datasets.list_builders(with_community_datasets=False)
    known = sorted({*own_sets(), *theirs})
    unseen = (
        f" (Sets that need {', '.join(lacking)} are unknown here: pip install {' '.join(lacking)})"
        if lacking
        else ""
    )
    raise UsageError(
        f"neither TFDS nor dlcore has a data set {title!r}{_nearest(title, known)}{unseen}"
    )


def _import_all() -> list[str]:
    """Imports all builders of TFDS; returns the missing packages of the others, by pip names."""
    lacking = set()
    for package in _PACKAGES:
        try:
            importlib.import_module(f"tensorflow_datasets.{package}")
        except ImportError as error:
            lacking.add(_package(error))
    return sorted(lacking)


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=5, cutoff=0.5) or sorted(known)[:5]
    return f": did you mean {', '.join(close)}?" if close else ""


@contextlib.contextmanager
def _explained(title: str, builder: DatasetBuilder, root: Path, downloads: Path) -> Iterator[None]:
    """Converts errors inside TFDS to a UsageError with the cause and what to do."""
    import requests

    try:
        yield
    except ImportError as error:
        raise UsageError(_missing(title, error)) from error
    except (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        urllib.error.URLError,
    ) as error:
        raise UsageError(_no_network(title, builder, downloads, error)) from error
    except OSError as error:
        raise UsageError(
            f"{title} cannot be prepared in {root}: {error}. Free disk space or give access, or"
            " set TFDS_DATA_DIR"
        ) from error
    except AssertionError as error:  # TFDS: files must be fetched by hand
        raise UsageError(f"{title} cannot be prepared: {error}") from error
    except Exception as error:
        if _MISSING.search(str(error)):  # from TFDS's thread that extracts archives
            raise UsageError(_missing(title, error)) from error
        if type(error).__name__ not in (
            "DownloadError",
            "ExtractError",
            "NonMatchingChecksumError",
        ):
            raise
        raise UsageError(
            f"{title} cannot be downloaded: {error}\nIf the file is at fault, remove it from"
            f" {downloads} and try again; if its address is, a newer tensorflow-datasets may know"
            " the new one: pip install -U tensorflow-datasets"
        ) from error


def _no_network(title: str, builder: DatasetBuilder, downloads: Path, error: Exception) -> str:
    url = getattr(getattr(error, "request", None), "url", None)
    cause = getattr(error.args[0], "reason", None) if error.args else None
    known = (builder.url_infos or {}).get(url)
    by_hand = []
    if known and known.filename:
        by_hand = [f"copy the file to {downloads / 'manual' / known.filename}"]
    elif builder.MANUAL_DOWNLOAD_INSTRUCTIONS:  # ours, whose files TFDS has no list of
        instructions = builder.MANUAL_DOWNLOAD_INSTRUCTIONS.rstrip(".")
        by_hand = [f"use --manual-dir FOLDER ({instructions})"]
    ways = [
        "connect this machine",
        *by_hand,
        f"copy {downloads} from a machine where it was downloaded",
    ]
    return (
        f"{title} is not downloaded yet and no network reaches {url or 'its source'}"
        f" ({cause or error}): {', or '.join(ways)}"
    )


def _missing(title: str, error: Exception) -> str:
    package = _package(error)
    if package == "tensorflow":
        return (
            f"preparing {title} needs TensorFlow, which dlcore needs for nothing else: pip install"
            " 'dlcore[prepare]'"
        )
    return f"preparing {title} needs a package that is not installed: pip install {package}"


def _package(error: Exception) -> str:
    """The package that an import missed, by its pip name.

    TFDS raises ImportError again without `name`, but with the same message.
    """
    match = _MISSING.search(str(error))
    package = (getattr(error, "name", None) or (match[1] if match else str(error))).split(".")[0]
    return _PIP.get(package, package)


def main(words: Sequence[str]) -> int:
    """Runs `dlcore prepare`, prints the folder of the set, and returns its exit code, 0.

    Args:
        words: the arguments after `dlcore prepare`; "text" first: those of
            `dlcore.data.own.prepare_text`.

    Raises:
        UsageError: as `prepare`.
    """
    if words[:1] == ["text"]:
        return prepare_text.main(words[1:])
    parser = argparse.ArgumentParser(
        prog="dlcore prepare",
        description="Download a data set and store it as ArrayRecord; `dlcore prepare text"
        " --help` is about texts of your own.",
    )
    parser.add_argument(
        "name", help="one of dlcore/data/builders/, or else as TFDS names it (xquad/en, ...)"
    )
    parser.add_argument(
        "--data-dir", type=Path, help="by default $TFDS_DATA_DIR, else ~/tensorflow_datasets"
    )
    parser.add_argument(
        "--download-dir", type=Path, help="by default downloads/ in the data folder"
    )
    parser.add_argument(
        "--manual-dir", type=Path, help="a folder with original files that were fetched by hand"
    )
    options = parser.parse_args(words)
    folders = {
        "data_dir": options.data_dir,
        "download_dir": options.download_dir,
        "manual_dir": options.manual_dir,
    }
    print(prepare(options.name, **folders))
    return 0
