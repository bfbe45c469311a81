"""``options``, ``validation`` and ``prepare``: which data, how good, how stored."""

from typing import Annotated, Literal

from pydantic import Field

from segline.config.fields import Encoding, Relative, Share, Strict


class Options(Strict):
    """One dataset's own choices; the lower ones are for the user's own data (``folder``) alone."""

    task: str | None = None
    """One of the dataset's tasks; its own if not given."""
    split: str | None = None
    """One of the dataset's published splits; its own if not given."""
    path: Annotated[str, Field(min_length=1)] | None = None
    """Folder of the user's own data; a relative one counts from the project's folder."""
    classes: Relative = "classes.yaml"
    """The class table, under `path`."""
    images: Relative | None = None
    """Where the images are under `path`: a folder, or a pattern such as ``images/**/*.jpg``."""
    masks: Relative | None = None
    """The same for the masks, or for the polygon files."""
    encoding: Encoding = "ids"
    """How masks say which class a pixel is of."""
    pairs: Relative | None = None
    """A CSV under `path` with columns image, mask and, if wanted, split and group: instead of the patterns."""
    follow_links: bool = False
    """Whether links under `path` may lead out of it, as DVC's into its cache do."""
    splits: dict[Literal["train", "validation", "test"], Relative] | None = None
    """Split -> a list file under `path`, one id, file name or path a line."""
    test_share: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.2
    """Part of the samples held out as test split, where the user's own data name none."""


class Validation(Strict):
    """When the data are good enough to go on."""

    quarantine_share: Share
    """Samples that may be left out, of all: more of them stop the pipeline."""


class Prepare(Strict):
    """How samples are stored for training; scoring labels always stay native."""

    short_side: Annotated[int, Field(ge=32, le=4096)] | None
    """Images are scaled down (never up) until their shorter side is this many pixels; null keeps their own size."""
    validation_share: Annotated[float, Field(gt=0.0, lt=0.5)]
    """Part of the training samples held out for model choice, where the dataset names none."""
