"""How polygon files are read where the files alone do not say it: ``own/NAME.yaml`` does."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from segline.config import Options


@dataclass(frozen=True, kw_only=True)
class PolygonRules:
    """The user's answers to questions about polygon files.

    Args:
        drawn_on: the view of a photo that polygons or masks were drawn on, if its EXIF orientation turns it and its
            size does not tell; None if the user has not said it.
        beyond_image: what to do with outlines that reach beyond the image.
        without_area: what to do with annotations that have no area.
    """

    drawn_on: Literal["upright", "stored"] | None = None
    beyond_image: Literal["stop", "clip"] = "stop"
    without_area: Literal["stop", "leave_out"] = "stop"

    @classmethod
    def of(cls, options: Options | None) -> Self:
        """Return the answers in `options`; the defaults if there are none."""
        if options is None:
            return cls()
        return cls(drawn_on=options.drawn_on, beyond_image=options.beyond_image, without_area=options.without_area)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the answers that `to_json` wrote."""
        return cls(**content)

    def to_json(self) -> dict[str, Any]:
        """Return the answers as a mapping that JSON can hold."""
        return asdict(self)


STRICT = PolygonRules()
"""No answers: every question stops."""
