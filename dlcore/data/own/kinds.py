"""Recognises the kind of data at a user's path."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from dlcore.data import token_shards
from dlcore.data.own import (
    captions,
    coco_files,
    dialogues,
    drive,
    files,
    images,
    photographs,
    questions,
    squad,
    stories,
    table_files,
    tag_columns,
    tagged,
    texts,
    video_decoding,
    yolo,
)
from dlcore.errors import UsageError

Kind = Literal[
    "images",
    "boxes",
    "masks",
    "captions",
    "photographs",
    "videos",
    "people",
    "drive",
    "texts",
    "tagged",
    "questions",
    "stories",
    "dialogues",
    "pairs",
    "corpus",
    "table",
    "tokens",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


def kind(path: Path) -> tuple[Kind, str]:
    """Recognises the kind of data at a path, from the names and contents of its files.

    Args:
        path: a file or a folder.

    Returns:
        The kind, and the reason as text. Images of people, and folders of frames, are recognised as
        "images"; "corpus" is what no other kind fits, an empty folder too.

    Raises:
        UsageError: no such path, one image only, JSON lines with the columns of no kind, a table
            whose header cannot be read, or several .json files in the folder of a split.
    """
    if not path.exists():
        raise UsageError(f"{path}: there is no such file or folder")
    if token_shards.is_one(path):
        return "tokens", "`dlcore prepare text` has written it"
    everything = [path] if path.is_file() else files.below(path)
    if everything and all(file.suffix.lower() in tag_columns.NAMED for file in everything):
        return "tagged", f"{everything[0].name} is named as columns of words and tags are"
    if everything and all(tag_columns.marks_spans(file) for file in everything):
        return "tagged", f"most lines of {everything[0].name} end in a tag"
    endings = (*table_files.TABLES, ".parquet")
    tables = [file for file in everything if file.suffix.lower() in endings]
    pictures = sum(file.suffix.lower() in images.SUFFIXES for file in everything)
    if yolo.description(path) is not None and (pictures or path.is_file()):
        return "boxes", "a YAML file describes them, as a YOLO folder has it"
    if everything and all(squad.is_squad(file) for file in everything):
        return "questions", "its JSON has paragraphs, as SQuAD has it"
    if coco_files.is_coco(path) and (pictures or path.is_file()):
        return "boxes", "a JSON file lies with them, as COCO has it"
    if path.is_file() and pictures:
        raise UsageError(f"{path} is one image: name a folder with a folder for each class")
    if pictures and _has_masks(path):
        return "masks", "there are folders images and masks"
    if (path / drive.LOG).is_file():
        return "drive", f"{drive.LOG} lies there, as the Udacity simulator writes it"
    if pictures and not (path.is_dir() and any(file.parent == path for file in tables)):
        return _of_pictures(path, pictures)
    if tables and len(tables) == len(everything) - pictures:
        return _of_table(tables[0])
    if everything and all(stories.begins_with_story(file) for file in everything):
        return "stories", f"{everything[0].name} begins with a story, as bAbI has it"
    if len(everything) > 1 and _parallel(path):
        return "pairs", "two files of as many lines"
    return "corpus", f"{len(everything):,} {'file' if len(everything) == 1 else 'files'} of text"


def _has_masks(path: Path) -> bool:
    """Whether a path, or its folder train, has folders of images and of masks."""
    return any(
        (folder / "images").is_dir() and (folder / "masks").is_dir()
        for folder in (path, files.train_folder(path) or path)
    )


def _of_pictures(path: Path, count: int) -> tuple[Kind, str]:
    """Videos where animations lie in no folder, photographs where all images do, else images."""
    for folder in (path, files.train_folder(path) or path):
        if moving := sum(
            video_decoding.is_animation(file)
            for file in (files.visible(folder) if folder.is_dir() else ())
        ):
            verb = "file is an animation" if moving == 1 else "files are animations"
            return "videos", f"{moving:,} {verb}"
    if photographs.has_only_images(path):
        return "photographs", (
            f"{count:,} files are images, in no folders by class"
            " (where they have classes, --as images says what is missing)"
        )
    return "images", (
        f"{count:,} files are images, in folders by class"
        " (where these are people or videos: --as people, --as videos)"
    )


def _of_table(file: Path) -> tuple[Kind, str]:
    if file.suffix.lower() == ".parquet":
        return "table", f"{file.name} is Parquet"
    if file.suffix.lower() == ".jsonl" and dialogues.has(file):
        return "dialogues", f"{file.name} has `messages`"
    names = _columns(file)
    if {*images.COLUMNS} <= {*names}:
        return "images", f"{file.name} has the columns {' and '.join(images.COLUMNS)}"
    if {*captions.COLUMNS} <= {*names}:
        return "captions", f"{file.name} has the columns {' and '.join(captions.COLUMNS)}"
    if drive.is_drive(file):
        return "drive", f"{file.name} has steering and the files of frames"
    if file.suffix.lower() == ".jsonl" and tagged.has_spans(file):
        return "tagged", f"{file.name} has text and spans"
    if {*texts.COLUMNS} <= {*names}:
        return "texts", f"{file.name} has the columns {' and '.join(texts.COLUMNS)}"
    if file.suffix.lower() == ".jsonl" and {*questions.KEYS[:2]} <= {*names}:
        return "questions", f"{file.name} has the columns {' and '.join(questions.KEYS[:2])}"
    if file.suffix.lower() == ".tsv" and len(names) == 2:
        return "pairs", f"{file.name} has two columns"
    if file.suffix.lower() != ".jsonl":
        return "table", f"{file.name} has {len(names)} columns"
    raise UsageError(
        f"{file}, line 1: there are {', '.join(names) or 'no names'}: images have"
        f" {' and '.join(images.COLUMNS)}, captions {' and '.join(captions.COLUMNS)}, texts"
        f" {' and '.join(texts.COLUMNS)}, tagged sentences text and spans, questions"
        f" {' and '.join(questions.KEYS)}, dialogues messages"
    )


def _columns(file: Path) -> list[str]:
    """The names of a table's columns; of JSON lines those of the first object."""
    problems: list[str] = []
    if file.suffix.lower() == ".jsonl":
        return list(next(iter(table_files.objects(file, problems)), (0, {}))[1])
    return table_files.table(file, problems)[0]


def _parallel(path: Path) -> bool:
    """Whether each split has two files of equally many lines."""
    try:
        grouped = files.grouped(path)[0].values()
        sizes = [[len(files.lines(file)) for file in group] for group in grouped if len(group) == 2]
    except UsageError:
        return False
    return len(sizes) == len(grouped) and all(len({*each}) == 1 for each in sizes)
