"""Own videos: GIFs and folders of frames, windows, splits, and each fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore.data.own import video_decoding, videos
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))


def frames(count: int, seed: int = 0, size: int = 16) -> np.ndarray:
    """Grey frames, each of one brightness: uint8 [count, size, size]."""
    levels = np.random.default_rng(seed).permutation(200)[:count] + 20
    return np.broadcast_to(levels[:, None, None], (count, size, size)).astype(np.uint8)


def gif(file: Path, video: np.ndarray) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = map(Image.fromarray, video)
    first.save(file, save_all=True, append_images=rest, duration=100, loop=0)
    return file


def folder_of(path: Path, video: np.ndarray) -> Path:
    path.mkdir(parents=True)
    for i, frame in enumerate(video):
        Image.fromarray(frame).save(path / f"frame{i}.png")
    return path


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    video = frames(12)
    for path in (gif(tmp_path / "a.gif", video), folder_of(tmp_path / "b", video)):
        found = video_decoding.read(path, (16, 16))
        assert found.shape == (12, 16, 16, 3)
        np.testing.assert_array_equal(found[:, 0, 0, 0], video[:, 0, 0])
        assert video_decoding.count(path) == 12


def test_windows_stay_within_a_video_and_a_video_within_a_split(tmp_path: Path) -> None:
    lengths = {f"train/{i}.gif": 6 + i for i in range(3)}
    lengths |= {"validation/a.gif": 9, "test/b.gif": 4}
    for seed, (name, count) in enumerate(lengths.items()):
        gif(tmp_path / "clips" / name, frames(count, seed))
    found = videos.load(tmp_path / "clips", (16, 16), 4)
    assert found.facts.examples == {"train": 3 + 4 + 5, "validation": 2, "test": 1}
    assert found.facts.fields["video"] == {"shape": [4, 16, 16, 1], "dtype": "uint8"}
    windows = found.train.gather(np.arange(12))["video"][:, :, 0, 0, 0]
    own = [frames(6 + i, i)[:, 0, 0] for i in range(3)]
    expected = [video[s : s + 4] for video in own for s in range(len(video) - 3)]
    np.testing.assert_array_equal(windows, expected)


@pytest.mark.slow
def test_splits_are_cut_by_video_and_colour_is_kept(tmp_path: Path) -> None:
    for seed in range(60):
        gif(tmp_path / "clips" / f"{seed}.gif", frames(5, seed))
    coloured = np.stack([frames(5, 99), *[np.zeros((5, 16, 16), np.uint8)] * 2], -1)
    gif(tmp_path / "clips" / "red.gif", coloured)
    found = videos.load(tmp_path / "clips", (16, 16), 5)
    assert found.facts.by_hash == ["validation", "test"]
    assert sum(found.facts.examples.values()) == 61
    assert found.facts.fields["video"]["shape"] == [5, 16, 16, 3]
    before = {name: info["fingerprint"] for name, info in found.facts.sources.items()}
    again = videos.load(tmp_path / "clips", (16, 16), 5)
    assert {name: info["fingerprint"] for name, info in again.facts.sources.items()} == before


def test_a_folder_of_frames_is_one_video_whatever_its_format(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for i, frame in enumerate(frames(3)):
        Image.fromarray(frame).save(folder / f"{i}.webp", lossless=True)
    assert not videos.find(tmp_path).problems
    assert videos.listed(folder) == [folder]
    clips = [gif(tmp_path / "clips" / f"{i}.gif", frames(3, i)) for i in range(2)]
    assert videos.listed(tmp_path / "clips") == clips
    notes = tmp_path / "clips" / "notes.txt"
    notes.write_text("x")
    assert videos.listed(tmp_path / "clips") == [*clips, notes]  # and is refused by itself
    assert "is no video" in videos.fault(notes)
    assert not videos.fault(clips[0])
    with pytest.raises(UsageError, match=r"notes.txt is no video"):
        videos.find(tmp_path / "clips").refuse()


def test_each_fault_is_named(tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(UsageError) as error:
            videos.load(path, (16, 16), 5)
        return str(error.value)

    assert "there is no such folder" in refused(tmp_path / "nothing")
    assert "is no folder" in refused(gif(tmp_path / "one.gif", frames(5)))
    (tmp_path / "empty").mkdir()
    assert "holds no videos" in refused(tmp_path / "empty")
    short = gif(tmp_path / "short" / "train" / "a.gif", frames(3)).parent.parent
    gif(short / "validation" / "b.gif", frames(5))
    gif(short / "test" / "c.gif", frames(5))
    assert "a.gif has 3 frames, and a clip takes 5" in refused(short)
    other = folder_of(tmp_path / "other" / "clip", frames(5)).parent
    (other / "notes.txt").write_text("no video")
    assert "notes.txt is no video" in refused(other)
    Image.fromarray(frames(1)[0]).save(tmp_path / "other" / "single.png")
    (other / "notes.txt").unlink()
    assert "single.png is one image and no video" in refused(other)
    made = gif(tmp_path / "made" / "running" / "a.gif", frames(5)).parent.parent
    gif(made / "b.gif", frames(5))
    assert "running holds animations (a.gif)" in refused(made)
    broken = gif(tmp_path / "broken" / "a.gif", frames(5))
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(UsageError, match="cannot be read as a video"):
        video_decoding.read(broken, (16, 16))
    mixed = folder_of(tmp_path / "mixed", frames(3))
    Image.fromarray(frames(1, size=8)[0]).save(mixed / "frame3.png")
    with pytest.raises(UsageError, match=r"frame3.png is 8x8 and frame0.png is 16x16"):
        video_decoding.read(mixed, (16, 16))


def test_an_animation_of_sixteen_bits_keeps_its_upper_eight(tmp_path: Path) -> None:
    video, file = frames(3), tmp_path / "a.tif"
    first, *rest = (Image.fromarray(frame.astype(np.uint16) << 8) for frame in video)
    first.save(file, save_all=True, append_images=rest)
    np.testing.assert_array_equal(video_decoding.read(file, (16, 16))[..., 0], video)
    video[0] >>= 5  # it fades in
    first = Image.fromarray(video[0].astype(np.uint16) << 8)
    first.save(file, save_all=True, append_images=rest)
    np.testing.assert_array_equal(video_decoding.read(file, (16, 16))[..., 0], video)
