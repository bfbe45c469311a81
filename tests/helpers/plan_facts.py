"""The facts of a dataset that plans are made for, and the values of a plan."""

from typing import Any

from segline.training.plan import Plan
from segline.training.plan.facts import Facts

FACTS = Facts(
    dataset="pets",
    digest="0" * 16,
    classes=3,
    samples=400,
    size=(512, 680),
    validated=(512, 900),
    thing=(60, 80),
    shares={"background": 0.6, "pet": 0.3, "border": 0.1},
    flips={"left_right": (True, "declared"), "up_down": (False, "nobody declares it")},
)


def values(made: Plan) -> dict[str, Any]:
    return {line.key: line.value for line in made.lines}
