"""Stack the masks of an image that has one mask for each class."""

from collections.abc import Mapping
from pathlib import Path

from segline.core.vision.polygons import Area, Shape
from segline.data.images.binary_mask import read_binary_mask
from segline.datasets.own.drawings import Drawing, find_id
from segline.errors import DataError


def stack_layers(layers: Mapping[str, Path], *, ids: Mapping[str, int]) -> Drawing:
    """Read the masks of one image; they are painted in the order of the class table.

    Args:
        layers: class name -> mask, black outside the class.
        ids: class name -> raw id.

    Raises:
        DataError: a mask cannot be read, or has more than two values; sizes differ; a class is not in the class table.
    """
    found = [(find_id(label, ids, str(path)), path) for label, path in layers.items()]
    ranks = {raw: place for place, raw in enumerate(ids.values())}
    shapes: list[Shape] = []
    first: tuple[Path, tuple[int, ...]] | None = None
    for raw, path in sorted(found, key=lambda pair: ranks[pair[0]]):
        area = read_binary_mask(path)
        first = first or (path, area.shape)
        if area.shape != first[1]:
            raise DataError(
                path,
                found=f"{area.shape[0]}x{area.shape[1]}, but {first[0].name} of the same image is "
                f"{first[1][0]}x{first[1][1]} (height x width)",
                expected="masks of one size",
                remedy="export the masks of this image again",
            )
        shapes.append(Shape(raw=raw, stamp=(area, 0, 0)))
    (path, (height, width)) = first if first is not None else (Path(), (0, 0))
    return Drawing(place=str(path), height=height, width=width, shapes=tuple(shapes))


def refuse_overlap(drawing: Drawing, ids: Mapping[str, int]) -> None:
    """Refuse areas of different classes that share pixels.

    Raises:
        DataError: two classes claim the same pixels.
    """
    names = {raw: name for name, raw in ids.items()}
    held: dict[int, Area] = {}
    for shape in drawing.shapes:
        if shape.stamp is None:
            continue
        area = shape.stamp[0]
        for other, taken in held.items():
            shared = int((area & taken).sum()) if other != shape.raw else 0
            if shared:
                raise DataError(
                    drawing.place,
                    found=f"{shared} pixels that belong to both {names[other]!r} and {names[shape.raw]!r}",
                    expected="each pixel in one class",
                    remedy="correct the masks; or set `overlap: later` in own/NAME.yaml, which "
                    "gives such a pixel to the class that comes later in the class table",
                )
        held[shape.raw] = held[shape.raw] | area if shape.raw in held else area
