"""Image files in the cache: their sizes, and what is decoded again."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dlcore.data.own import image_cache, images
from dlcore.errors import UsageError
from tests.data.own import made

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))


def test_sizes_are_of_the_image_as_it_is_seen(tmp_path: Path) -> None:
    picture = Image.new("L", (6, 4))
    turned = picture.getexif()
    turned[274] = 6  # to be turned by 90 degrees
    picture.save(tmp_path / "turned.jpg", exif=turned)
    picture.convert("P").save(tmp_path / "grey_palette.png")
    coloured = Image.new("RGB", (6, 4), (9, 0, 0)).quantize(2)
    coloured.save(tmp_path / "coloured.png")
    Image.new("RGBA", (6, 4)).save(tmp_path / "rgba.png")
    Image.new("I;16", (6, 4)).save(tmp_path / "deep.png")
    names = ["turned.jpg", "grey_palette.png", "coloured.png", "rgba.png", "deep.png"]
    found = image_cache.stored_sizes([tmp_path / name for name in names])
    assert found.tolist() == [[6, 4, 1], [4, 6, 1], [4, 6, 3], [4, 6, 3], [4, 6, 1]]
    (tmp_path / "broken.png").write_bytes((tmp_path / "rgba.png").read_bytes()[:20])
    with pytest.raises(UsageError, match=r"broken\.png cannot be read as an image"):
        image_cache.stored_sizes([tmp_path / "broken.png"])


@pytest.mark.slow
def test_the_second_start_decodes_nothing_and_a_changed_file_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made.image_folder(tmp_path / "pets")
    first = images.load(folder, (28, 28, 1))
    with monkeypatch.context() as patched:
        patched.setattr(
            image_cache, "upright", lambda file: pytest.fail(f"{file} is decoded again")
        )
        again = images.load(folder, (28, 28, 1))
    assert again.facts == first.facts
    made.image(folder / "cat/000.png", 77, (28, 29))
    assert images.load(folder, (28, 28, 1)).facts.sources != first.facts.sources
