"""Compute the positions of lines, bars and dots in a square plot."""

from collections.abc import Mapping, Sequence
from typing import Any

SIDE = 100.0
"""Length of a plot's side in SVG units: x to the right, y downward."""

_MARGIN_SHARE = 0.02  # of the axis length, at each end


def to_polyline(across: Sequence[float], upward: Sequence[float]) -> str:
    """Convert points in 0..1 by 0..1 to the points of an SVG polyline."""
    return " ".join(f"{SIDE * x:.2f},{SIDE * (1 - y):.2f}" for x, y in zip(across, upward, strict=True))


def lay_out_reliability(diagram: Mapping[str, Any]) -> dict[str, Any]:
    """Lay out a reliability diagram.

    Args:
        diagram: plain values of `core.metrics.calibration.Reliability`.

    Returns:
        Bars of accuracy with the gap to the mean confidence, each with its share of the pixels; the errors ECE and MCE.
    """
    count, total = len(diagram["pixels"]), sum(diagram["pixels"])
    bars = []
    for place in range(count):
        accuracy, confidence = diagram["accuracy"][place], diagram["confidence"][place]
        if accuracy is None or confidence is None:
            continue
        low, high = sorted((accuracy, confidence))
        bars.append(
            {
                "x": round(SIDE * place / count, 2),
                "width": round(SIDE / count, 2),
                "top": round(SIDE * (1 - accuracy), 2),
                "height": round(SIDE * accuracy, 2),
                "gap_top": round(SIDE * (1 - high), 2),
                "gap_height": round(SIDE * (high - low), 2),
                "accuracy": accuracy,
                "confidence": confidence,
                "share": diagram["pixels"][place] / total,
            }
        )
    return {"bars": bars, "ece": diagram["ece"], "mce": diagram["mce"], "pixels": total}


def lay_out_abstention(curve: Mapping[str, Any]) -> dict[str, Any]:
    """Lay out the abstention curves; the x axis is the share of answered pixels.

    Args:
        curve: plain values of `core.metrics.calibration.Abstention`.

    Returns:
        Points of both lines, some rows of the curve, and the number of classes in the mean. `lost` is the share of
        answered pixels at which the first class is lost, and `lost_x` its x in the drawing; None if no class is lost.
    """
    shares, classes = curve["answered"], curve["classes"]
    lost = next((share for share, left in zip(shares, classes, strict=True) if left < classes[0]), None)
    rows: list[dict[str, Any]] = []
    for wanted in (1.0, 0.95, 0.9, 0.8):
        fitting = [place for place, share in enumerate(shares) if share >= wanted]
        if fitting and not (rows and rows[-1]["place"] == fitting[-1]):
            rows.append({"place": fitting[-1], **{key: curve[key][fitting[-1]] for key in curve}})
    return {
        "miou": to_polyline(shares, curve["miou_lost_as_0"]),
        "accuracy": to_polyline(shares, curve["pixel_accuracy"]),
        "rows": rows,
        "classes": classes[0] if classes else 0,
        "lost": lost,
        "lost_x": None if lost is None else round(SIDE * lost, 2),
    }


def find_axis(values: Sequence[float], *, include: Sequence[float] = ()) -> tuple[float, float]:
    """Compute the ends of an axis that shows all `values` and those to `include`, with a small margin."""
    low, high = min((*values, *include)), max((*values, *include))
    margin = _MARGIN_SHARE * (high - low or 1.0)
    return low - margin, high + margin


def locate(value: float, ends: tuple[float, float]) -> float:
    """Compute a value's position along an axis, in percent of its length."""
    return round(100 * (value - ends[0]) / (ends[1] - ends[0]), 2)
