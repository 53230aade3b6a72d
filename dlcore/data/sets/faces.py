"""Images of people, divided into folds of people: published sets, drawn faces, or a user's."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from dlcore.data import tfds
from dlcore.data.facts import Facts
from dlcore.data.own import people as own
from dlcore.data.source import Arrays, arrays
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

SETS = ("orl_faces", "extended_yale_b")
RESAMPLING = Image.Resampling.BOX  # of published images of other sizes
_DRAWN_PEOPLE, _DRAWN_IMAGES, _SEED = 20, 8, 1994


def load(
    name: str, source: DataSource, size: tuple[int, int], folds: int, held_out: int = 0
) -> Splits:
    """Loads images of people as splits for cross-validation: train and test are the same images.

    Args:
        name: orl_faces or extended_yale_b.
        source: "published"; "offline", drawn faces of 20 people; or a path, see
            `dlcore.data.own.people.load`.
        size: height and width to which images are resized.
        folds: number of folds; each holds out other people, whom its network is not trained on.
        held_out: number of people that a fold of the published set holds out, see `folds_of`; for
            other data it is ignored, and each fold holds out ceil(people / folds), at least 2.

    Returns:
        Splits, train and test, of `image` uint8 [height, width, 1], `label` int32, the person, and
        `learns` float32 [folds], 1 where a fold's network is trained on the example. `facts` has
        `people`, their names, `held_out`, the numbers of the people that each fold holds out, and
        `resampling`, the filter of Pillow by which images of other sizes are resized.

    Raises:
        UsageError: an unknown set, or one that is not prepared; more folds than people, or folds
            that leave fewer than two people for training or for test; faults in a user's files.
    """
    if name not in SETS:
        raise UsageError(f"{name!r} is no set of faces: choose {' or '.join(SETS)}")
    if isinstance(source, Path):
        found, names = own.load(source, (*size, 1))
    elif is_offline(name, source):
        found, names = drawn(size), [f"person {n}" for n in range(_DRAWN_PEOPLE)]
    else:
        found, names = _resized(tfds.load(name, "train"), size), list(tfds.class_names(name))
    parts = folds_of(len(names), folds, held_out if source == "published" else 0)
    label = np.asarray(found.arrays["label"], np.int32)
    learns = np.stack([~np.isin(label, part) for part in parts], 1).astype(np.float32)
    contents = {"image": np.asarray(found.arrays["image"]), "label": label, "learns": learns}
    made = arrays(found.info.name, found.info.version, f"{folds} folds of people", contents)
    resampling = Image.Resampling.BILINEAR if isinstance(source, Path) else RESAMPLING
    facts = Facts(people=names, held_out=parts, resampling=resampling.name)
    return Splits(made, test=made, facts=facts, scored=())


def folds_of(people: int, folds: int, held_out: int = 0) -> list[list[int]]:
    """Chooses for each fold the people that it holds out.

    People are shuffled by a fixed seed. In this order fold k holds out consecutive people from
    position floor(k people / folds) on, cyclically. If `held_out` is smaller than people / folds,
    some people are held out by no fold, and a UserWarning is emitted; if it is larger, some are
    held out by several.

    Args:
        people: number of people.
        folds: number of folds.
        held_out: number of people that a fold holds out; 0: ceil(people / folds), at least 2.

    Returns:
        Sorted indices of people, a list per fold.

    Raises:
        UsageError: more folds than people, or fewer than two people would be left for training or
            for test.
    """
    if folds > people:
        raise UsageError(f"--folds {folds} of {people} people: give {people} at most")
    count = held_out or max(2, -(-people // folds))
    if folds < 1 or count < 2 or people - count < 2:
        raise UsageError(
            f"{folds} folds of {people} people that hold out {count} each: two at least must be"
            " held out and two be left to learn from; change --folds or --held-out"
        )
    order = np.random.RandomState(_SEED).permutation(people)  # its stream is frozen for good
    parts = [
        sorted(int(order[(fold * people // folds + i) % people]) for i in range(count))
        for fold in range(folds)
    ]
    if left := people - len({person for part in parts for person in part}):
        warnings.warn(
            f"{folds} folds that hold out {count} people each test {people - left} of {people}"
            f" people: --held-out {-(-people // folds)} tests all",
            stacklevel=2,
        )
    return parts


def _resized(source: Arrays, size: tuple[int, int]) -> Arrays:
    """The source with images of another size, averaged over the pixels that fall into each."""
    images = np.asarray(source.arrays["image"])
    if images.shape[1:3] == size:
        return source
    height, width = size
    made = [
        np.asarray(Image.fromarray(image[..., 0]).resize((width, height), RESAMPLING))
        for image in images
    ]
    contents = {"image": np.stack(made)[..., None], "label": np.asarray(source.arrays["label"])}
    return arrays(source.info.name, source.info.version, source.info.split, contents)


def drawn(size: tuple[int, int]) -> Arrays:
    """Draws faces of 20 people, 8 images each, which differ in position, expression and light.

    A person is a shape of face, eyes, nose, mouth and hair, and shades of skin and hair, by which
    the person can be recognised; no two images are the same.

    Args:
        size: height and width.

    Returns:
        `image` uint8 [160, height, width, 1] and `label` int32 [160].
    """
    random = np.random.RandomState(_SEED)
    people = random.uniform(0, 1, (_DRAWN_PEOPLE, 9))
    label = np.repeat(np.arange(_DRAWN_PEOPLE, dtype=np.int32), _DRAWN_IMAGES)
    made = [_face(people[person], random, size) for person in label]
    return arrays("drawn_faces", "1", "all", {"image": np.stack(made), "label": label})


def _face(person: np.ndarray, random: np.random.RandomState, size: tuple[int, int]) -> np.ndarray:
    """One image of a person, uint8 [*size, 1]."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    shift, turn = random.uniform(-0.1, 0.1, 2), random.uniform(-0.1, 0.1)
    y, x = y - shift[0] + turn * x, x - shift[1] - turn * y
    roundness, eyes, eye, nose, mouth, lips, hair, skin, shade = person
    image = np.full(size, 0.15)

    def ellipse(cy: float, cx: float, height: float, width: float, level: float) -> None:
        inside = ((y - cy) / height) ** 2 + ((x - cx) / width) ** 2
        cover = np.clip(8 * (1 - inside), 0, 1)
        image[:] = image * (1 - cover) + level * cover

    level, dark = 0.45 + 0.4 * skin, 0.05 + 0.3 * shade
    ellipse(-0.15, 0, 0.85, 0.65 + 0.2 * roundness, dark)
    ellipse(0.1, 0, 0.75, 0.5 + 0.2 * roundness, level)
    ellipse(-0.75 + 0.1 * hair, 0, 0.2 + 0.3 * hair, 0.6, dark)
    for side in (-1, 1):
        across = side * (0.18 + 0.17 * eyes)
        ellipse(-0.1, across, 0.06 + 0.07 * eye, 0.1, 0.95)
        ellipse(-0.1, across + random.uniform(-0.03, 0.03), 0.05, 0.05, 0.05)
    ellipse(0.2, 0, 0.1 + 0.12 * nose, 0.05 + 0.04 * nose, 0.8 * level)
    ellipse(0.5, 0, 0.03 + 0.06 * lips + random.uniform(0, 0.04), 0.12 + 0.2 * mouth, 0.25)
    light = 1 + random.uniform(-0.3, 0.3) * x + random.uniform(-0.15, 0.15)
    image = image * light + random.normal(0, 0.03, size)
    return (255 * np.clip(image, 0, 1)).astype(np.uint8)[..., None]
