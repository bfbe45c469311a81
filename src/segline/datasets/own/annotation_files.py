"""Read the JSON files of annotations, and tell their formats apart."""

from pathlib import Path
from typing import Any

from segline.errors import DataError
from segline.formats import strict_json
from segline.reading import JSON_BYTES, read_bytes


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return strict_json.loads(read_bytes(path, limit=JSON_BYTES))
    except UnicodeDecodeError as error:
        found = f"cannot be read: it is not UTF-8 (byte 0x{error.object[error.start]:02x} at position {error.start})"
        raise DataError(
            path,
            found=f"{found}, as in Latin-1 or Windows-1252",
            expected="JSON in UTF-8 (UTF-16 and UTF-32 with a byte order mark are read too)",
            remedy="convert it from the encoding in which it was written (WINDOWS-1252 in Western Europe, GBK in "
            f"China): iconv -f WINDOWS-1252 -t UTF-8 {path.name} > new.json, then replace the file",
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(
            path, found=f"cannot be read ({error})", expected="a JSON file", remedy="export the file again"
        ) from error


def is_coco(content: Any) -> bool:
    """Return whether the content of a JSON file is a COCO data set."""
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()


def is_labelme(content: Any) -> bool:
    """Return whether the content of a JSON file is a LabelMe annotation."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content
