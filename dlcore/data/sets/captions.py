"""Pictures with captions: emoji, drawn scenes with exact answers, or a user's own."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dlcore.data import tfds
from dlcore.data.facts import Facts
from dlcore.data.own import captions as own
from dlcore.data.own.captions import words
from dlcore.data.own.image_decoding import resized
from dlcore.data.source import Arrays, arrays
from dlcore.data.split import by_hash
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

PAD, START, END, UNKNOWN = 0, 1, 2, 3
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")
SPLITS = ("train", "validation", "test")
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (50, 80, 220),
    "yellow": (230, 200, 40),
    "purple": (150, 60, 180),
    "black": (30, 30, 30),
}
SHAPES = ("circle", "square", "triangle", "cross")
SIZES = {"small": 0.12, "large": 0.2}  # radius over the side of the picture
RELATIONS = ("left of", "above")


@dataclasses.dataclass(frozen=True, eq=False)
class CaptionedImages(Arrays):
    """Pictures with captions.

    Fields: `image` uint8 [size, size, 3]; after `tokenised` also `tokens`, `targets` and `weight`,
    see `load`.

    Attributes:
        captions: caption of each picture; after `tokenised` its words, separated by spaces.
    """

    captions: tuple[str, ...] = ()


def text(tokens: Iterable[int], vocabulary: Sequence[str]) -> str:
    """Returns the words of tokens up to the first `END`, separated by spaces.

    Args:
        tokens: of one caption; `PAD` and `START` are left out.
        vocabulary: words by index.
    """
    found = []
    for token in tokens:
        if token == END:
            break
        if token not in (PAD, START):
            found.append(vocabulary[token])
    return " ".join(found)


def load(source: DataSource, size: int = 72, rarest: int = 1) -> Splits:
    """Loads pictures with captions.

    Args:
        source: "published": emoji with their Unicode names; "offline": drawn scenes; a path: a
            user's (`dlcore.data.own.captions`).
        size: height and width to which pictures are resized, a multiple of 8.
        rarest: occurrences in training from which a word is in the vocabulary.

    Returns:
        Splits of `CaptionedImages`: `image` uint8 [N, size, size, 3]; `tokens` int32 [N, longest],
        which begin with `START`; `targets` int32 [N, longest], the next token of each, `END` last;
        `weight` float32 [N, longest], 0 on padding. `facts` has `vocabulary` and `longest`; of own
        data `by_hash`, the splits that were cut.

    Raises:
        UsageError: a size that is no multiple of 8, a set that is not prepared, faults in own
            files, or as `tokenised`.
    """
    if size % 8:
        raise UsageError(f"pictures of {size} pixels: the encoder needs a multiple of 8")
    if isinstance(source, Path):
        return _own(source, size, rarest)
    if is_offline("noto_emoji_captions", source):
        return tokenised(scenes(size), rarest)
    return tokenised({split: _emoji(split, size) for split in SPLITS}, rarest)


def _own(path: Path, size: int, rarest: int) -> Splits:
    found = own.load(path, size)
    each = {
        split: CaptionedImages(decoded.arrays, decoded.info, found.captions[split])
        for split, decoded in found.images.items()
    }
    return tokenised(each, rarest).with_facts(by_hash=found.by_hash)


def _emoji(split: str, size: int) -> CaptionedImages:
    name = "noto_emoji_captions"
    images = tfds.load(name, split, features=["image"])
    captions = tuple(map(str, tfds.columns(name, split, ["caption"])["caption"]))
    pixels = np.asarray(images.arrays["image"])
    if pixels.shape[1:3] != (size, size):
        each = (resized(Image.fromarray(image), (size, size, 3)) for image in pixels)
        pixels = np.stack(list(each))
    return CaptionedImages({"image": pixels}, images.info, captions)


def tokenised(splits: Mapping[str, CaptionedImages], rarest: int = 1) -> Splits:
    """Encodes the captions of splits by the vocabulary of the training captions.

    Args:
        splits: {split: `image` and captions}, "train" among them.
        rarest: occurrences in training from which a word is in the vocabulary; others are
            `UNKNOWN`.

    Returns:
        Splits as of `load`.

    Raises:
        UsageError: a caption without words, or no word that is frequent enough.
    """
    texts = {split: [words(each) for each in images.captions] for split, images in splits.items()}
    for split, each in texts.items():
        if [] in each:
            raise UsageError(f"picture {each.index([]) + 1} of {split} has a caption without words")
    counts: dict[str, int] = {}
    for caption in texts["train"]:
        for word in caption:
            counts[word] = counts.get(word, 0) + 1
    vocabulary = [*SPECIALS, *sorted(word for word, n in counts.items() if n >= rarest)]
    if len(vocabulary) == len(SPECIALS):
        raise UsageError(
            f"--rarest {rarest} leaves no word: the most frequent one occurs"
            f" {max(counts.values())} times in training"
        )
    number = {word: i for i, word in enumerate(vocabulary)}
    longest = 1 + max(len(caption) for each in texts.values() for caption in each)
    sources = {
        split: _with_tokens(images, texts[split], number, longest)
        for split, images in splits.items()
    }
    return Splits.of(sources, facts=Facts(vocabulary=vocabulary, longest=longest))


def _with_tokens(
    images: CaptionedImages, texts: Sequence[Sequence[str]], number: Mapping[str, int], longest: int
) -> CaptionedImages:
    tokens = np.zeros((len(texts), longest + 1), np.int32)
    for row, caption in zip(tokens, texts, strict=True):
        row[: len(caption) + 2] = [START, *(number.get(w, UNKNOWN) for w in caption), END]
    contents = {
        "image": images.arrays["image"],
        "tokens": tokens[:, :-1],
        "targets": tokens[:, 1:],
        "weight": (tokens[:, 1:] != PAD).astype(np.float32),
    }
    info = images.info
    made = arrays(info.name, info.version, info.split, contents)
    return CaptionedImages(made.arrays, made.info, tuple(map(" ".join, texts)))


@functools.lru_cache(maxsize=2)
def scenes(size: int, count: int = 5000, seed: int = 0) -> dict[str, CaptionedImages]:
    """Draws scenes of one or two coloured shapes, which their captions describe completely.

    "a small red circle", or "a large blue square left of a small black cross". Scenes with
    the same caption are in one split, so that captions of validation and test never occur in train.

    Args:
        size: height and width in pixels.
        count: number of pictures.
        seed: of the draws.

    Returns:
        {split: `image` uint8 [n, size, size, 3] with captions}, for validation and test about a
        tenth of the captions each. The result is cached: do not change it.
    """
    random = np.random.RandomState(seed)
    images, captions = [], []
    for _ in range(count):
        image, caption = _scene(random, size)
        images.append(image)
        captions.append(caption)
    parts = by_hash(captions)
    made = {}
    for split, index in parts.items():
        chosen = {"image": np.stack([images[i] for i in index])}
        source = arrays("drawn scenes", f"seed {seed}", split, chosen)
        made[split] = CaptionedImages(source.arrays, source.info, tuple(captions[i] for i in index))
    return made


def _scene(random: np.random.RandomState, size: int) -> tuple[np.ndarray, str]:
    image = np.full((size, size, 3), random.randint(200, 256), np.uint8)
    relation = random.randint(3)  # 0: one shape alone
    named = []
    for place in range(1 if relation == 0 else 2):
        # the two halves of the picture that the relation names
        low, high = (0.3, 0.7) if relation == 0 else ((0.22, 0.3), (0.7, 0.78))[place]
        along, across = random.uniform(low, high), random.uniform(0.3, 0.7)
        centre = (along, across) if relation == 2 else (across, along)
        named.append(_shape(random, image, centre))
    if relation == 0:
        return image, named[0]
    return image, f"{named[0]} {RELATIONS[relation - 1]} {named[1]}"


def _shape(random: np.random.RandomState, image: np.ndarray, centre: tuple[float, float]) -> str:
    """Draws one shape around a centre, (down, across) in [0, 1], and names it."""
    colour, shape, scale = (
        list(names)[random.randint(len(names))] for names in (COLOURS, SHAPES, SIZES)
    )
    size = len(image)
    y, x = ((np.arange(size) + 0.5) / size - at for at in centre)
    r, down, across = SIZES[scale], y[:, None], x[None]
    inside = {
        "circle": down**2 + across**2 <= r * r,
        "square": (abs(down) <= 0.85 * r) & (abs(across) <= 0.85 * r),
        "triangle": (down <= 0.8 * r) & (2 * abs(across) <= down + r),
        "cross": ((abs(down) <= 0.3 * r) | (abs(across) <= 0.3 * r))
        & (np.maximum(abs(down), abs(across)) <= r),
    }[shape]
    image[inside] = np.clip(np.array(COLOURS[colour]) + random.randint(-20, 21, 3), 0, 255)
    return f"a {scale} {colour} {shape}"
