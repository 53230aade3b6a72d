"""What a run can show. A sample serialises itself into parts, and the report draws parts.

A new kind of sample is one class anywhere with a `title` and a method `parts`:

    @dataclass(frozen=True)
    class Boxes:
        title: str
        image: np.ndarray  # [height, width, 3] uint8
        boxes: list[tuple[int, int, int, int]]

        def parts(self, files: PartWriter) -> list[Part]:
            return [files.pictures(draw(self.image, self.boxes)[None])]
"""

from dlcore.samples.basic import Animations, Figure, Images, Plot, Sample, Table, Text
from dlcore.samples.parts import Part, Series, Span, evenly
from dlcore.samples.writer import PartWriter

__all__ = [
    "Animations",
    "Figure",
    "Images",
    "Part",
    "PartWriter",
    "Plot",
    "Sample",
    "Series",
    "Span",
    "Table",
    "Text",
    "evenly",
]
