"""List the masks to paint, for each form of annotations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from segline.config import Encoding, Options
from segline.data.extract.stack_layers import refuse_overlap, stack_layers
from segline.datasets.base import Pair
from segline.datasets.own import polygon_jobs, run_length_table, yolo
from segline.datasets.own.collect import Collection
from segline.datasets.own.drawings import Drawing
from segline.datasets.own.polygon_jobs import Job
from segline.datasets.own.polygon_rules import STRICT, PolygonRules
from segline.errors import ConfigError
from segline.progress import Report, silent


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the extract stage needs to know to make masks; the download stage writes it to a file.

    Args:
        entries, class_numbers, layers: see `segline.datasets.own.collect.Collection`.
        order: how run lengths number the pixels.
        overlap: ``later``, if classes may share pixels.
        polygons: how annotations are read where they alone do not say it.
        turns: sample id -> EXIF orientation of its photo, for mask files that were painted on the upright photo.
    """

    encoding: Encoding
    entries: Mapping[str, str] = field(default_factory=dict)
    class_numbers: Mapping[str, str] = field(default_factory=dict)
    layers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    order: Literal["columns", "rows"] | None = None
    overlap: Literal["later"] | None = None
    polygons: PolygonRules = STRICT
    turns: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Options, collection: Collection) -> Self:
        """Make the recipe for a collection.

        Raises:
            ConfigError: the options do not say how run lengths number the pixels.
        """
        if options.encoding == "run_lengths" and options.run_lengths is None:
            raise ConfigError(
                "own/NAME.yaml run_lengths",
                found="nothing",
                expected="columns or rows, because run lengths do not say how they number the pixels of an image, and "
                "the other order gives wrong masks",
                remedy="set `run_lengths: columns` if pixels are numbered from top to bottom, then left to right (most "
                "Kaggle competitions), or `run_lengths: rows` if from left to right, then top to bottom; the "
                "competition's page says which",
            )
        return cls(
            encoding=options.encoding,
            entries=dict(sorted(collection.entries.items())),
            class_numbers={str(number): name for number, name in collection.class_numbers.items()},
            layers={name: dict(found) for name, found in sorted(collection.layers.items())},
            order=options.run_lengths,
            overlap=options.overlap,
            polygons=PolygonRules.of(options),
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the recipe that `to_json` wrote."""
        return cls(**{**content, "polygons": PolygonRules.from_json(content.get("polygons", {}))})

    def to_json(self) -> dict[str, Any]:
        """Return the content of its file; empty parts are left out."""
        parts: dict[str, Any] = {"class_numbers": self.class_numbers, "layers": self.layers, "order": self.order}
        parts["turns"] = dict(sorted(self.turns.items()))
        parts |= {"overlap": self.overlap, "polygons": {} if self.polygons == STRICT else self.polygons.to_json()}
        given = {name: part for name, part in parts.items() if part}
        return {"encoding": self.encoding, "entries": self.entries, **given}

    def files(self, pairs: Sequence[Pair]) -> list[str]:
        """List the files that masks are painted from."""
        stacked = {path for of_class in self.layers.values() for path in of_class.values()}
        return sorted({pair.mask for pair in pairs if pair.mask} | stacked)


def list_jobs(pairs: Sequence[Pair], recipe: Recipe, *, source: Path, ids: Mapping[str, int]) -> list[Job]:
    """List the masks to paint for `pairs`; all that can be checked without painting is checked.

    Args:
        ids: class name -> raw id.

    Raises:
        DataError: an annotation file is invalid, or names a class that is not in the class table.
    """
    match recipe.encoding:
        case "yolo":
            return _list_yolo(pairs, recipe, source, ids)
        case "run_lengths":
            return _list_run_lengths(pairs, recipe, source, ids)
        case "layers":
            return _list_layers(pairs, recipe, source, ids)
    return polygon_jobs.list_jobs(pairs, source=source, entries=recipe.entries, ids=ids, rules=recipe.polygons)


def check_jobs(
    jobs: Sequence[Job],
    recipe: Recipe,
    *,
    source: Path,
    images: Sequence[str],
    ids: Mapping[str, int],
    by_name: bool,
    report: Report = silent,
) -> list[str]:
    """Check the annotation files of `jobs` without painting; return notes for the user.

    Run lengths and one mask for each class are checked when they are painted, because that takes as long.

    Raises:
        DataError: a file is invalid, does not fit its image, or names a class that is not in the class table.
    """
    if recipe.encoding in ("run_lengths", "layers"):
        return []
    rules = recipe.polygons
    return polygon_jobs.check(jobs, source=source, images=images, ids=ids, rules=rules, by_name=by_name, report=report)[
        1
    ]


def _make_jobs(
    pairs: Sequence[Pair], source: Path, read: Callable[[str, Path, Path], Callable[[], Drawing]], *, fits: bool = True
) -> list[Job]:
    """Make a job for each whole pair; `read` takes the sample id, its image and the file of its mask."""
    return [
        Job(
            id=pair.id,
            image=source / pair.image,
            image_name=pair.image,
            annotation=read(pair.id, source / pair.image, source / pair.mask),
            fits_image=fits,
        )
        for pair in pairs
        if pair.image and pair.mask
    ]


def _list_yolo(pairs: Sequence[Pair], recipe: Recipe, source: Path, ids: Mapping[str, int]) -> list[Job]:
    names = {int(number): name for number, name in recipe.class_numbers.items()}

    def read(_: str, image: Path, mask: Path) -> Callable[[], Drawing]:
        return partial(yolo.read_yolo, mask, image, names=names, ids=ids, rules=recipe.polygons)

    return _make_jobs(pairs, source, read)


def _list_run_lengths(pairs: Sequence[Pair], recipe: Recipe, source: Path, ids: Mapping[str, int]) -> list[Job]:
    order = recipe.order or "columns"  # `Recipe.of` refuses options without it
    files = sorted({source / pair.mask for pair in pairs if pair.image and pair.mask})
    tables = {table: run_length_table.read_table(table) for table in files}

    def read(name: str, image: Path, table: Path) -> Callable[[], Drawing]:
        areas = tables[table][recipe.entries[name]]
        run_length_table.check_areas(areas, table=table, image=image, ids=ids, rules=recipe.polygons)
        draw = partial(
            run_length_table.draw_areas, areas, table=table, image=image, order=order, ids=ids, rules=recipe.polygons
        )
        return partial(_refuse_shared, draw, ids=ids, overlap=recipe.overlap)

    return _make_jobs(pairs, source, read)


def _list_layers(pairs: Sequence[Pair], recipe: Recipe, source: Path, ids: Mapping[str, int]) -> list[Job]:
    def read(name: str, _: Path, __: Path) -> Callable[[], Drawing]:
        found = {label: source / path for label, path in recipe.layers[name].items()}
        return partial(_refuse_shared, partial(stack_layers, found, ids=ids), ids=ids, overlap=recipe.overlap)

    return _make_jobs(pairs, source, read, fits=False)


def _refuse_shared(draw: Callable[[], Drawing], *, ids: Mapping[str, int], overlap: str | None) -> Drawing:
    """Draw the areas of an image, and refuse pixels of two classes unless the user has said which one is right."""
    drawing = draw()
    if overlap != "later":
        refuse_overlap(drawing, ids)
    return drawing
