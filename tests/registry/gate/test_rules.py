import pytest

from segline.registry.gate.rules import decide


@pytest.mark.parametrize(
    ("challenger", "champion", "floor", "promote"),
    [
        (0.5, None, 0.4, True),
        (0.4, None, 0.4, False),
        (0.5, 0.49, 0.9, True),  # the floor is for first versions
        (0.5, 0.5, 0.1, False),  # an equal one changes nothing
        (0.3, 0.5, 0.1, False),
        (float("nan"), None, 0.1, False),
        (float("nan"), 0.2, 0.1, False),
    ],
)
def test_decision(challenger, champion, floor, promote):
    decision = decide(challenger, champion=champion, floor=floor)
    assert decision.promote is promote
    assert decision.bar == (floor if champion is None else champion)
    assert f"{decision.bar:.4f}" in decision.reason
