"""Photographs and paintings for style transfer, and random crops of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dlcore.data import cache, tfds
from dlcore.data.facts import Facts
from dlcore.data.own import image_cache, image_decoding, photographs
from dlcore.data.own.found import VERSION
from dlcore.data.ragged import Ragged
from dlcore.data.source import Batch, Info, Source, fingerprint
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

# of scikit-image and scikit-learn; those of validation and test are never trained on
TRAINED = (
    *("china", "flower", "astronaut", "rocket", "motorcycle_left", "hubble_deep_field"),
    *("ihc", "retina", "camera", "coins", "moon", "brick", "grass", "gravel"),
)
VALIDATION, TEST = ("coffee",), ("tubingen", "chelsea")
STYLES = ("starry_night", "the_scream", "shipwreck")
SMALLEST = 0.5  # of a photograph's shorter side: the smallest crop
COLOURS = 0.4  # of training crops: the largest change of a channel's factor, and of its offset
_LONGEST = 1024  # pixels a side of own photographs at most
_FORMAT = 1  # counts up when the same files become other arrays than before

Pictures = Mapping[str, np.ndarray]  # {name: uint8 [height, width, 3]}


@dataclasses.dataclass(frozen=True, eq=False)
class Crops:
    """Square crops of photographs, each determined by its index.

    A crop is at a random place of a random photograph; its side, between half and all of the
    photograph's shorter side, is random too. It is resized, and mirrored half of the time. Then
    each channel is multiplied by a random factor, and gets a random offset.

    Attributes:
        pictures: uint8 [height, width, 3] each.
        size: height and width of the crops.
        seed: of the draws.
        info: which data these are.
        colours: c, where the factors are in [1 - c, 1 + c], and the offsets in [-c, c] times half
            of the range of pixels; results are clipped to it. 0: colours do not change.
    """

    pictures: Sequence[np.ndarray]
    size: int
    seed: int
    info: Info
    colours: float = 0.0

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: np.ndarray) -> Batch:
        """Returns the crops `index`, int [rows], as `image`, uint8 [rows, size, size, 3]."""
        return {"image": np.stack([self._crop(int(i)) for i in np.asarray(index)])}

    def _crop(self, index: int) -> np.ndarray:
        # RandomState: NumPy froze its stream for good, which it does not promise for default_rng.
        random = np.random.RandomState([self.seed, index])
        picture = self.pictures[random.randint(len(self.pictures))]
        height, width = picture.shape[:2]
        side = round(min(height, width) * random.uniform(SMALLEST, 1))
        top, left = random.randint(height - side + 1), random.randint(width - side + 1)
        box = (left, top, left + side, top + side)
        image = Image.fromarray(picture).resize(
            (self.size, self.size), Image.Resampling.BILINEAR, box=box
        )
        pixels = np.asarray(image)
        pixels = pixels[:, ::-1] if random.randint(2) else pixels
        factor, offset = random.uniform(-self.colours, self.colours, (2, 3))
        return np.rint(np.clip(pixels * (1 + factor) + 127.5 * offset, 0, 255)).astype(np.uint8)


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOut(Crops):
    """Crops of photographs, with the photographs themselves.

    Attributes:
        whole: {name: photograph, uint8 [height, width, 3]}.
    """

    whole: Pictures = dataclasses.field(default_factory=dict)


def load(
    source: DataSource, style: str, size: int, examples: int = 20_000, held_out: int = 32
) -> tuple[Splits, np.ndarray]:
    """Loads photographs, as crops, and the picture of a style.

    Args:
        source: "published": photographs of scikit-learn and scikit-image, and `style_images`;
            "offline": two photographs of scikit-learn, whose left parts are for training, and whose
            right parts are one for validation and one for test, and a drawn style; a path: a
            folder of a user's photographs, reduced to at most 1,024 pixels a side and decoded once
            into the cache (splits see `dlcore.data.own.files.grouped`; missing ones are cut from
            train, a tenth each, by the hash of the files), with `style_images`.
        style: one of `STYLES`, or the file of a picture; offline all `STYLES` are the drawn one.
        size: height and width of the crops, a multiple of 8.
        examples, held_out: number of crops of the training split, and of each other split.

    Returns:
        Splits of `image`, uint8 [size, size, 3]: `Crops` of train, `HeldOut` of the others; `facts`
        has `style`. And the style, uint8 [height, width, 3].

    Raises:
        UsageError: a set that is not prepared, a missing package, faults in own files, a style that
            is neither known nor a file, or a size that is no multiple of 8.
    """
    if size % 8:
        raise UsageError(f"crops of {size} pixels: the features need a multiple of 8")
    if isinstance(source, Path):
        parts, name, version = _own(source), source.resolve().name, VERSION
    elif is_offline("photographs", source):
        parts, name, version = _offline(), "photographs of scikit-learn", "offline"
    else:
        parts, name, version = _published(), "photographs", "1"
    sources: dict[str, Source] = {}
    for seed, (split, pictures) in enumerate(parts.items(), start=1):
        count = examples if split == "train" else held_out
        mark = fingerprint(pictures)
        settings = json.dumps([mark, size, seed, SMALLEST, COLOURS if split == "train" else 0])
        info = Info(name, version, split, hashlib.sha256(settings.encode()).hexdigest(), count)
        each = list(pictures.values())
        sources[split] = (
            Crops(each, size, seed, info, COLOURS)
            if split == "train"
            else HeldOut(each, size, seed, info, whole=pictures)
        )
    return Splits.of(sources, facts=Facts(style=style)), _style(source, style)


def styles(source: DataSource, without: str) -> dict[str, np.ndarray]:
    """Returns the pictures of the known styles except one; offline one drawn style.

    Args:
        source: as of `load`. A path changes nothing here: as for "published" the styles are from
            the prepared set `style_images`.
        without: the name in `STYLES` that is left out; any other string, such as the file of a
            picture, leaves none out. Offline it is ignored.

    Returns:
        {name: uint8 [height, width, 3]}.

    Raises:
        UsageError: `style_images` is not prepared.
    """
    if source == "offline":
        return {"stripes": stripes()}
    found = _prepared("style_images", np.uint8)
    return {name: found[name] for name in STYLES if name != without}


def _style(source: DataSource, style: str) -> np.ndarray:
    if source == "offline" and style in STYLES:
        return waves()
    if style in STYLES:
        return _prepared("style_images", np.uint8)[style]
    path = Path(style)
    if not path.is_file():
        raise UsageError(
            f"--style {style}: there is no such file; the known styles are {', '.join(STYLES)}"
        )
    return np.asarray(image_decoding.upright(path).convert("RGB"))


def _prepared(name: str, dtype: type) -> dict[str, np.ndarray]:
    """The arrays of a prepared set of `name`, `shape` and `values`."""
    found = tfds.columns(name, "train")
    rows = zip(found["name"], found["shape"], found["values"], strict=True)
    return {each: np.asarray(values, dtype).reshape(shape) for each, shape, values in rows}


def waves(size: int = 256) -> np.ndarray:
    """Draws a style, uint8 [size, size, 3]: bands of colour around two centres."""
    y, x = np.mgrid[:size, :size] / size
    phase = 40 * np.hypot(y - 0.3, x - 0.2) + 25 * np.hypot(y - 0.8, x - 0.9)
    bands = [np.sin(phase + shift) for shift in (0.0, 1.2, 2.9)]
    return np.rint(127.5 + 110 * np.stack(bands, -1)).astype(np.uint8)


def stripes(size: int = 256) -> np.ndarray:
    """Draws a style, uint8 [size, size, 3]: straight bands of colour that cross."""
    y, x = np.mgrid[:size, :size] / size
    bands = [np.sin(60 * x + shift) * np.cos(35 * y + 2 * shift) for shift in (0.0, 0.9, 2.2)]
    return np.rint(127.5 + 110 * np.stack(bands, -1)).astype(np.uint8)


def _offline() -> dict[str, Pictures]:
    from sklearn.datasets import load_sample_images

    left, right = {}, {}
    for name, image in zip(("china", "flower"), load_sample_images().images, strict=True):
        cut = image.shape[1] * 6 // 10
        left[name], right[name] = image[:, :cut], image[:, cut:]
    held_out = {"validation": "china", "test": "flower"}
    return {"train": left, **{split: {name: right[name]} for split, name in held_out.items()}}


def _published() -> dict[str, Pictures]:
    from sklearn.datasets import load_sample_images

    try:
        import skimage
    except ImportError as error:
        raise UsageError(
            "these photographs come with scikit-image: pip install 'dlcore[vision]'"
        ) from error
    folder = Path(skimage.__file__).parent / "data"
    found = {
        **dict(zip(("china", "flower"), load_sample_images().images, strict=True)),
        **_prepared("style_images", np.uint8),
    }
    for file in sorted((*folder.glob("*.png"), *folder.glob("*.jpg"))):
        if file.stem in (*TRAINED, *VALIDATION, *TEST):
            with Image.open(file) as image:
                found[file.stem] = np.asarray(image.convert("RGB"))
    parts = {"train": TRAINED, "validation": VALIDATION, "test": TEST}
    names = [name for part in parts.values() for name in part]
    if missing := [name for name in names if name not in found]:
        raise UsageError(
            f"this scikit-image has no picture {missing[0]!r}: pip install 'scikit-image>=0.22'"
        )
    return {split: {name: found[name] for name in part} for split, part in parts.items()}


def _own(path: Path) -> dict[str, Pictures]:
    """One's own photographs by split, which the hash of their contents decides where none are."""
    found = photographs.find(path)
    found.divide(lambda rows: image_cache.digests([Path(row.values[0]) for row in rows]))
    found.refuse()
    name = path.resolve().name
    return {
        split: _decoded(name, found.named(split), [Path(row.values[0]) for row in rows])
        for split, rows in found.splits.items()
    }


def _decoded(name: str, split: str, paths: Sequence[Path]) -> Pictures:
    """The photographs of a split by file, decoded once into the cache and memory-mapped."""

    def chunks() -> Iterator[Batch]:
        for file in paths:
            pixels = _small(file)
            size = np.array([pixels.shape[:2]], np.int32)
            yield {"image": pixels.reshape(-1, 3), "size": size}

    stats = [(path.resolve(), path.stat()) for path in paths]
    listed = [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats]
    settings = json.dumps([_FORMAT, listed, name, split, _LONGEST])
    key = f"own/{hashlib.sha256(settings.encode()).hexdigest()[:32]}/photographs"
    found = cache.cached(
        key, name, VERSION, split, lambda: (len(paths), chunks()), values=["image"]
    )
    pixels, sizes = (np.asarray(found.arrays[field]) for field in ("image", "size"))
    limits = {"image": (_LONGEST, _LONGEST)}
    kept = Ragged({}, {"image": pixels}, {"image": sizes}, limits, found.info)
    # views: a photograph is read from the disk where it is used
    return {str(file): kept.example("image", i) for i, file in enumerate(paths)}


def _small(file: Path) -> np.ndarray:
    """A photograph of at most `_LONGEST` pixels a side: crops are resized anyway."""
    image = image_decoding.upright(file).convert("RGB")
    image.thumbnail((_LONGEST, _LONGEST))
    return np.asarray(image)


def features() -> Path:
    """Returns a file of the weights of `vgg16_imagenet_features`, for `Weights(file, "vgg")`.

    The file is written into the cache at the first use.

    Raises:
        UsageError: the set is not prepared.
    """
    name = "vgg16_imagenet_features"
    place = cache.folder() / name / f"{tfds.version(name)}.npz"
    if not place.exists():
        arrays = _prepared(name, np.float32)
        named = {each.replace("_k", "/k").replace("_b", "/b"): a for each, a in arrays.items()}
        write(place, "vgg", named)
    return place


def write(place: Path, model: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes parameters of a model as an .npz file that `Weights` reads.

    Args:
        place: the file; its folder is created.
        model: name of the model.
        arrays: {"layer/kernel": array}.
    """
    from dlcore import files as safe

    place.parent.mkdir(parents=True, exist_ok=True)
    with safe.replacing(place) as file:
        named = {f"params/{model}/{name}": array for name, array in arrays.items()}
        np.savez(file, allow_pickle=False, **named)
