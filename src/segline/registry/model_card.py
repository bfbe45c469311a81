"""Describe a registered model for those who use it: its input, its output and its classes."""

from pathlib import Path
from typing import Any

from segline.errors import shown
from segline.inference import description
from segline.inference.description import Description
from segline.project import Files
from segline.reading import TEXT_BYTES, read_bytes

INPUT = (
    "One image or a batch, as an array (H, W), (H, W, C) or (N, H, W, C) of whole numbers 0..255 with C of 1 grey, "
    "2 grey and alpha, 3 RGB or 4 RGB and alpha; or image files (PNG, JPEG, TIFF, BMP, GIF, WebP) as base64 text. Any "
    "height and width."
)
OUTPUT = 'A mask of each image, uint8 (H, W) ids as in the table; with `params={"format": "png"}` as base64 of a PNG.'


def read_card(bundle: Path) -> Description:
    """Read the description of the network in the folder `bundle`, without loading the network.

    Raises:
        DataError: the description is damaged.
    """
    place = bundle / Files.DESCRIPTION
    return description.parse(read_bytes(place, limit=TEXT_BYTES), place=place)


def metadata(card: Description) -> dict[str, Any]:
    """Make the metadata that MLflow keeps in the model's file ``MLmodel``."""
    return {
        "segline": {
            "dataset": card.dataset,
            "network": card.family,
            "input": {"channels": "RGB", "range": [0, 255], "type": "uint8", "description": INPUT},
            "output": {"ids": f"ids of the data set {card.dataset}", "type": "uint8", "description": OUTPUT},
            "classes": [{"id": item.raw, "name": item.name, "colour": list(item.colour)} for item in card.classes],
        }
    }


def text(card: Description) -> str:
    """Write the description that MLflow's page shows, in Markdown."""
    rows = "\n".join(
        f"| {item.raw} | {_cell(item.name)} | rgb({', '.join(map(str, item.colour))}) |" for item in card.classes
    )
    return (
        f"{card.family}, trained on {_cell(card.dataset)}.\n\n"
        f"**Input.** {INPUT} Channel order RGB, range 0..255.\n\n"
        f"**Output.** {OUTPUT}\n\n"
        f"| id | class | colour |\n|---|---|---|\n{rows}\n"
    )


def _cell(name: str) -> str:
    """Escape a name for a cell of a Markdown table."""
    fit = shown(name)
    return "".join(f"\\{each}" if each in "\\`*_{}[]<>()#+!|&~" else each for each in fit)
