"""Faults of one's own data at the command line: exit code 2, one message with file and line, and no
run folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from dlcore.cli import main as cli
from tests.data.own import boxed, made
from tests.data.own.test_drive import recorded, simulator
from tests.data.own.test_instance_masks import instance_folder
from tests.data.own.test_masks import folder_of, mask

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def refusal(capsys: pytest.CaptureFixture[str], experiment: str, path: str, *more: str) -> str:
    """What `dlcore train` says, in one line."""
    words = ["--preset", "tiny", "--data", path, "--out", "run", "--cpu-devices", "1", *more]
    assert cli.main(["train", experiment, *words]) == 2
    said = capsys.readouterr()
    assert "step " not in said.out
    assert said.err.count("dlcore: ") - said.err.count("dlcore: warning: ") == 1
    assert not Path("run").exists()
    return " ".join(said.err.split())


def folders(each: int = 40, **splits: tuple[str, ...]) -> Path:
    """The folder "pets" of images, with `splits` {split: classes} or without splits."""
    if not splits:
        return made.image_folder(Path("pets"), each)
    for number, (split, classes) in enumerate(splits.items()):
        made.image_folder(Path("pets", split), each, classes, seed=5000 * number)
    return Path("pets")


def no_images() -> None:
    (folders() / "emu").mkdir()


def cut_short() -> None:
    file = folders() / "cat/003.png"
    file.write_bytes(file.read_bytes()[:60])


def one_class() -> None:
    shutil.rmtree(folders() / "dog")


IMAGES: dict[str, tuple[Callable[[], object], str]] = {
    "an empty class": (no_images, "pets/emu, a class, is empty: put images in, or remove"),
    "an image cut short": (cut_short, "pets/cat/003.png cannot be read as an image ("),
    "one class": (one_class, "pets: all examples of train have the label 'cat'"),
    "few": (lambda: folders(15), "--batch 32 is larger than the"),
    "another class in test": (
        lambda: folders(20, train=("cat", "dog"), test=("cat", "owl")),
        "pets/test/owl/000.png: the label 'owl' of test does not occur in train (20 examples)",
    ),
}


@pytest.mark.parametrize("fault", IMAGES)
def test_images(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, message = IMAGES[fault]
    make()
    assert message in refusal(capsys, "cnn_mnist", "pets")


def yolo_lines(lines: str, counts: tuple[int, ...] = (36, 4, 4)) -> None:
    boxed.yolo(Path("mine"), counts, lines)


def yolo_without_dogs() -> None:
    yolo_lines("0 0.5 0.5 0.1 0.1\n")
    for file in Path("mine/labels/train").iterdir():
        file.write_text("0 0.5 0.5 0.1 0.1\n")


def coco_without_dogs() -> None:
    boxes = boxed.coco_content(40, Path("mine/images"))["annotations"]
    boxed.coco(Path("mine"), annotations=[each for each in boxes if each["category_id"] == 3])


def masks_of_another_class() -> None:
    for split in ("train", "validation", "test"):
        folder_of(Path("mine", split), 3, 3 if split == "test" else 2)
        Path("mine", split, "classes.txt").unlink()


def mask_of_another_size() -> None:
    mask(folder_of(Path("mine")) / "masks/04.png", np.zeros((21, 20), np.uint8))


def instances_of_another_size() -> None:
    folder = instance_folder(Path("mine"), np.eye(24, 30, dtype=np.uint8))
    mask(folder / "test/masks/1.png", np.zeros((24, 31), np.uint8))


def captions() -> None:
    made.image(Path("mine/0.png"), 0)
    rows = [f"{i}.png\ta cat, {i}" for i in range(40)]
    Path("mine/captions.tsv").write_text("\n".join(["path\tcaption", *rows]) + "\n")


def straight() -> None:
    recorded(Path("mine"), [simulator(n, "0.5") for n in range(60)], frames=60)


def frame_missing() -> None:
    recorded(Path("mine"), [simulator(n) for n in range(60)], frames=59)


def classes(*names: str) -> Callable[[], object]:
    return lambda: made.image_folder(Path("mine"), 20, names)


def few_levels() -> None:
    classes("ill", "well")()
    Image.new("I;16", (28, 28), 4000).save("mine/ill/003.png")


PICTURES: dict[str, tuple[str, Callable[[], object], str]] = {
    "a box outside": (
        "detection_bccd",
        lambda: yolo_lines("1 0.9 0.5 0.4 0.2\n"),
        "mine/labels/train/0.txt, line 1: the box [28, 12, 44, 18] reaches 4 pixels outside",
    ),
    "a class without boxes in train": (
        "detr_scenes",
        yolo_without_dogs,
        "mine: the class 'dog' has no box in train: add some, or remove the class",
    ),
    "a class without boxes": (
        "detection_bccd",
        coco_without_dogs,
        "mine: the class 'dog' has no box in train",
    ),
    "a class of masks of test alone": (
        "segmentation_camvid",
        masks_of_another_class,
        "mine/test/masks/00.png has pixels of value 2, and the masks of train have classes up to 1",
    ),
    "a mask of another size": (
        "segmentation_camvid",
        mask_of_another_size,
        "mine/masks/04.png is 20 x 21 pixels and its image 04.jpg 21 x 20",
    ),
    "instances of another size": (
        "segmentation_nuclei",
        instances_of_another_size,
        "mine/test/masks/1.png is 31 x 24 pixels and its image 1.png 30 x 24",
    ),
    "three classes for a diagnosis": (
        "cnn_pneumonia",
        classes("cold", "flu", "well"),
        "a diagnosis has two classes, and these data have 3: cold, flu, well",
    ),
    "16 bits of which 12 are used": (
        "cnn_pneumonia",
        few_levels,
        "mine/ill/003.png cannot be read as an image (its largest value of 16 bits is 4000",
    ),
    "one person": ("faces_orl", classes("ann"), "mine shows 1 person (ann): verification needs 4"),
    "captions without pictures": (
        "captioning_emoji",
        captions,
        "mine/captions.tsv, line 3: there is no file mine/1.png: mend its path",
    ),
    "one style": ("cyclegan", classes("ink"), "mine"),
    "steering that never changes": (
        "driving_udacity",
        straight,
        "mine/driving_log.csv: steering is 0.5 in all 60 rows",
    ),
    "a frame that is missing": (
        "driving_udacity",
        frame_missing,
        "mine/driving_log.csv, line 60: there is no file",
    ),
    "images without classes": (
        "simclr_cifar10",
        lambda: [made.image(Path(f"mine/{i}.png"), i) for i in range(3)],
        "mine/0.png lies in no class: move it into the folder of its class",
    ),
}


@pytest.mark.parametrize("fault", PICTURES)
def test_pictures(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    experiment, make, message = PICTURES[fault]
    make()
    assert message in refusal(capsys, experiment, "mine")


def test_a_condition_that_is_no_class(capsys: pytest.CaptureFixture[str]) -> None:
    classes("ill", "well")()
    said = refusal(capsys, "cnn_pneumonia", "mine", "--condition", "sick")
    assert "--condition sick: these data have no such class: choose ill or well" in said


def table(rows: list[str], header: str = "a,b,kind") -> bytes:
    return "\n".join([header, *rows, ""]).encode()


ROWS = [f"{i},{'xyz'[i % 3]},{'no' if i % 2 else 'yes'}" for i in range(200)]
SPLIT = [f"{row},{('train', 'validation')[i % 5 == 0]}" for i, row in enumerate(ROWS)]
TABLES = {
    "no such column": (
        table(ROWS, "a,b,sort"),
        "own.csv has no column 'kind': give --target one of a, b, sort",
    ),
    "one class": (
        table([f"{i},x,yes" for i in range(90)]),
        "own.csv: the target 'kind' has one class only, 'yes'",
    ),
    "Latin-1": (
        table([*ROWS, "1,é,no"]).decode().encode("latin-1"),
        "own.csv, line 202: byte 1801 of the file (0xe9) is not UTF-8: save it as UTF-8",
    ),
    "UTF-16": (table(ROWS).decode().encode("utf-16"), "own.csv, line 1: the file is UTF-16"),
    "few": (table(ROWS[:34]), "--batch 32 is larger than the"),
    "another class in test": (
        table([*SPLIT, "1,x,maybe,test"], "a,b,kind,split"),
        "own.csv, line 202: the class 'maybe' of test does not occur in train (1 row)",
    ),
    "NaN in the target": (table([*ROWS, "1,x,NaN"]), "own.csv, line 202: the target 'kind' is 'N"),
    "infinite": (table([*ROWS, "inf,x,no"]), "line 202: 'inf' in column 'a' is no finite number"),
    "text among numbers": (table([*ROWS, "4 m,x,no"]), "line 202: '4 m' in column 'a' is no finit"),
    "a cell too few": (table([*ROWS, "1,no"]), "own.csv, line 202: 2 cells, and line 1 names 3"),
    "empty": (b"", "own.csv is empty: its first line must name the columns"),
}


@pytest.mark.parametrize("fault", TABLES)
def test_tables(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    content, message = TABLES[fault]
    Path("own.csv").write_bytes(content)
    assert message in refusal(capsys, "mlp_table", "own.csv", "--target", "kind")


@pytest.mark.filterwarnings("default:::dlcore")
def test_missing_values_of_an_input_are_announced_and_trained_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """NaN in a column of numbers is a missing value: only the batch is refused here."""
    Path("own.csv").write_bytes(table([*ROWS[:20], "NaN,x,no"]))
    said = refusal(capsys, "mlp_table", "own.csv", "--target", "kind")
    assert "column 'a' is number, mean" in said
    assert "1 training row without a value: the mean" in said
    assert "--batch 32 is larger than the" in said


TEXTS = [f"text number {i},{'+-'[i % 2]}" for i in range(100)]
OF_TEXTS = {
    "no such column": (
        table(TEXTS, "text,class"),
        "own.csv, line 1: there is no column 'label'; there are text, class: rename one",
    ),
    "one class": (
        table(TEXTS[::2], "text,label"),
        "own.csv: all examples of train have the label '+'",
    ),
    "Latin-1": (
        table(["caf\xe9,+", *TEXTS], "text,label").decode().encode("latin-1"),
        "own.csv, line 2: byte 14 of the file (0xe9) is not UTF-8",
    ),
    "few": (table(TEXTS[:34], "text,label"), "--batch 32 is larger than the"),
    "another class in test": (
        table([*(f"{each},train" for each in TEXTS), "so,?,test"], "text,label,split"),
        "own.csv, line 102: the label '?' of test does not occur in train (1 example)",
    ),
    "no label": (table([*TEXTS, "so,"], "text,label"), "own.csv, line 102: 'label' is empty"),
    "several": (table([*TEXTS, "so,", ",+"], "text,label"), "(1 more: `dlcore data own.csv` lists"),
}


@pytest.mark.parametrize("fault", OF_TEXTS)
def test_texts(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    content, message = OF_TEXTS[fault]
    Path("own.csv").write_bytes(content)
    assert message in refusal(capsys, "bert_clinc", "own.csv")


PAIRS = "".join(f"{a}\t{b}\n" for a, b in made.sentence_pairs(100)).encode()
OTHERS = [
    (
        "gpt_tiny_shakespeare",
        "own.txt",
        b"a\nb\xff\n",
        "own.txt, line 2: byte 3 of the file (0xff)",
    ),
    ("gpt_tiny_shakespeare", "own.txt", b"\n \n", "own.txt holds no text: remove it"),
    ("gpt_tiny_shakespeare", "own.txt", b"few words\n" * 3, "too few for a row of"),
    (
        "transformer_multi30k",
        "own.tsv",
        PAIRS + b"a\tb\tc\n",
        "own.tsv, line 101: 3 columns: a pair",
    ),
    ("transformer_multi30k", "own.tsv", PAIRS + b"a\t \n", "own.tsv, line 101: the pair has an em"),
    ("transformer_multi30k", "own.tsv", PAIRS + b"\xe9\tb\n", "own.tsv, line 101: byte"),
    ("transformer_multi30k", "own.tsv", PAIRS[:600], "--batch 32 is larger than the"),
]


@pytest.mark.parametrize(("experiment", "name", "content", "message"), OTHERS)
def test_corpora_and_pairs(
    experiment: str, name: str, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).write_bytes(content)
    assert message in refusal(capsys, experiment, name)
