"""``options``, ``validation`` and ``prepare``: which data to use, when to reject them, and how to store them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from segline.config.fields import Encoding, Levels, Relative, Share, Strict, as_short_side


class Options(Strict):
    """The options of one dataset: `task` and `split` of a public one; from `path` on, ``own/NAME.yaml`` of own data."""

    task: str | None = None
    """One of the dataset's tasks; None for its default."""
    split: str | None = None
    """One of the dataset's published splits; None for its default."""
    path: Annotated[str, Field(min_length=1)] | None = None
    """Folder of the user's own data; a relative path starts at the project's folder."""
    id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = None
    """Tells these data from others of the same name on one MLflow server; `segline init` draws it once."""
    classes: Relative = "classes.yaml"
    """The class table, under `path`."""
    images: Relative | None = None
    """The images under `path`: a folder, or a pattern such as ``images/**/*.jpg``."""
    masks: Relative | None = None
    """The same for the masks, or for the polygon files."""
    encoding: Encoding = "ids"
    """How masks encode the class of a pixel. ``indices``: stored numbers are ids, whatever colours a palette has."""
    levels: Levels | None = None
    """Lowest and highest value of 16-bit images, such as [0, 4095] for 12 bits; they become 0 and 255."""
    run_lengths: Literal["columns", "rows"] | None = None
    """With ``encoding: run_lengths``: pixels are numbered down the columns (usual on Kaggle), or along the rows."""
    overlap: Literal["later"] | None = None
    """With ``encoding: layers`` or ``run_lengths``: a pixel that several classes claim gets the one that comes later
    in the class table; null stops at such a pixel."""
    pairs: Relative | None = None
    """A CSV under `path` that replaces the patterns; columns image and mask, and optionally split and group."""
    follow_links: bool = False
    """Whether links under `path` may point outside it. DVC's links do: they point into its cache."""
    splits: dict[Literal["train", "validation", "test"], Relative] | None = None
    """Split -> a list file under `path`, with an id, a file name or a path on each line."""
    drawn_on: Literal["upright", "stored"] | None = None
    """The view of photos with an EXIF orientation that polygons or masks were drawn on, where the size does not
    tell."""
    beyond_image: Literal["stop", "clip"] = "stop"
    """What to do with polygons that reach beyond the image."""
    without_area: Literal["stop", "leave_out"] = "stop"
    """What to do with annotations that have no area, such as points and lines."""
    test_share: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.2
    """Share of the samples to hold out as test split, if the user's own data have none."""


class Validation(Strict):
    """When the data are good enough to continue."""

    quarantine_share: Share
    """Share of the samples that may be left out. If more must be left out, the pipeline stops."""


class Prepare(Strict):
    """How samples are stored for training. Labels for scoring always keep their own size."""

    short_side: Annotated[int | Literal["auto"] | None, BeforeValidator(as_short_side)]
    """Images are scaled down (never up) until their shorter side has this many pixels; null keeps their size; auto
    derives it from the dataset's fingerprint and ``training.memory`` (`segline.data.size`)."""

    @property
    def pixels(self) -> int | None:
        """Return `short_side` as a number or None.

        Raises:
            ValueError: it is ``auto``, and not derived yet.
        """
        if self.short_side == "auto":
            raise ValueError("`prepare.short_side: auto` is not derived yet: call `pipeline.short_side.settle` first")
        return self.short_side

    validation_share: Annotated[float, Field(gt=0.0, lt=0.5)]
    """Share of the training samples to hold out for choosing models, if the dataset has no validation split."""
