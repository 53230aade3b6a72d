"""State of the Union 1.0: 65 speeches of the presidents of the United States, 1945 to 2006."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

ARCHIVE = File(
    "state_union.zip",
    "366c1dc82b2abf896f42b2ec50ba802a0141a29f75d29ca48a7a243ce5bfbe8d",
    "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/corpora/state_union.zip",
)
# of every ten speeches in the order of their years; train has the others
_PLACES = {"validation": (4,), "test": (9,)}


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of the texts `text`, a speech, and `speech`, its name.

    `text` has one paragraph per line, without blank lines, and words separated by single spaces;
    `speech` is the name of the file without its suffix, such as "1945-Truman". Of each ten speeches
    in the order of their years, eight are for train (52), the fifth is for validation (7) and the
    tenth for test (6). The archive, if it is not in the folder of --manual-dir, is downloaded from
    github.com/nltk/nltk_data (`ARCHIVE`); UsageError if it differs from the expected one. Licence:
    public domain.
    """

    name = "state_union"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {ARCHIVE.name} from {ARCHIVE.url} there."

    def _info(self) -> tfds.core.DatasetInfo:
        features = {name: tfds.features.Text() for name in ("text", "speech")}
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://www.nltk.org/nltk_data/",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        path = fetch(dl_manager, ARCHIVE)
        held = [place for places in _PLACES.values() for place in places]
        places = {"train": tuple(place for place in range(10) if place not in held), **_PLACES}
        return {
            split: self._generate_examples(path, places[split])
            for split in ("train", "validation", "test")
        }

    def _generate_examples(self, path: Path, places: tuple[int, ...]) -> Examples:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".txt"))
            for number, name in enumerate(names):
                if number % 10 in places:
                    speech = Path(name).stem
                    yield speech, {"text": plain(archive.read(name)), "speech": speech}


def plain(content: bytes) -> str:
    """Decodes a speech to text with one paragraph per line, without blank lines."""
    # Latin-1, but in five speeches of Nixon's the dashes and quotation marks are Big5's, all of
    # them behind the byte A1.
    text = re.sub(
        r"\xa1.", lambda mark: mark[0].encode("latin-1").decode("big5"), content.decode("latin-1")
    )
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)
