"""List the masks to paint, for each form of annotations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from segline.config import Encoding, Options
from segline.data.extract import paint_polygons
from segline.data.extract.paint_polygons import Job
from segline.data.extract.stack_layers import refuse_overlap, stack_layers
from segline.datasets.base import Pair
from segline.datasets.own import run_length_table, yolo
from segline.datasets.own.annotations import Drawing
from segline.datasets.own.collect import Collection
from segline.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the extract stage needs to know to make masks; the download stage writes it to a file.

    Args:
        entries, class_numbers, layers: see `segline.datasets.own.collect.Collection`.
        order: how run lengths number the pixels.
        overlap: ``later``, if classes may share pixels.
    """

    encoding: Encoding
    entries: Mapping[str, str] = field(default_factory=dict)
    class_numbers: Mapping[str, str] = field(default_factory=dict)
    layers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    order: Literal["columns", "rows"] | None = None
    overlap: Literal["later"] | None = None

    @classmethod
    def of(cls, options: Options, collection: Collection) -> "Recipe":
        """Make the recipe for a collection.

        Raises:
            ConfigError: the options do not say how run lengths number the pixels.
        """
        if options.encoding == "run_lengths" and options.run_lengths is None:
            raise ConfigError(
                "params.yaml options.folder.run_lengths",
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
        )

    def content(self) -> dict[str, Any]:
        """Return the content of its file; empty parts are left out."""
        parts = {"class_numbers": self.class_numbers, "layers": self.layers, "order": self.order}
        given = {name: part for name, part in {**parts, "overlap": self.overlap}.items() if part}
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
    whole = [(pair.id, source / pair.image, source / pair.mask) for pair in pairs if pair.image and pair.mask]
    match recipe.encoding:
        case "yolo":
            names = {int(number): name for number, name in recipe.class_numbers.items()}
            return [(name, partial(yolo.read_yolo, mask, image, names=names, ids=ids)) for name, image, mask in whole]
        case "run_lengths":
            return _list_run_lengths(whole, recipe, ids)
        case "layers":
            found = {
                name: {label: source / path for label, path in recipe.layers[name].items()} for name, _, _ in whole
            }
            return [(name, partial(_stack, layers, ids=ids, overlap=recipe.overlap)) for name, layers in found.items()]
    return paint_polygons.list_jobs(pairs, source=source, entries=recipe.entries, ids=ids)


def check_jobs(jobs: Sequence[Job], encoding: str, *, ids: Mapping[str, int], report: Any) -> None:
    """Check the annotation files of `jobs` without painting.

    Raises:
        DataError: a file is invalid, or names a class that is not in the class table.
    """
    if encoding == "yolo":
        for _, read in jobs:
            if callable(read):
                read()
    paint_polygons.check(jobs, ids=ids, report=report)


def _list_run_lengths(whole: Sequence[tuple[str, Path, Path]], recipe: Recipe, ids: Mapping[str, int]) -> list[Job]:
    order = recipe.order or "columns"  # `Recipe.of` refuses options without it
    tables = {table: run_length_table.read_table(table) for table in sorted({table for _, _, table in whole})}
    jobs: list[Job] = []
    for name, image, table in whole:
        areas = tables[table][recipe.entries[name]]
        run_length_table.check_areas(areas, table=table, image=image, ids=ids)
        draw = partial(run_length_table.draw_areas, areas, table=table, image=image, order=order, ids=ids)
        jobs.append((name, partial(_draw_runs, draw, ids=ids, overlap=recipe.overlap)))
    return jobs


def _draw_runs(draw: Any, *, ids: Mapping[str, int], overlap: str | None) -> Drawing:
    drawing: Drawing = draw()
    if overlap != "later":
        refuse_overlap(drawing, ids)
    return drawing


def _stack(layers: Mapping[str, Path], *, ids: Mapping[str, int], overlap: str | None) -> Drawing:
    drawing = stack_layers(layers, ids=ids)
    if overlap != "later":
        refuse_overlap(drawing, ids)
    return drawing
