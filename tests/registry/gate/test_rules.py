import pytest

from segline.registry.gate.rules import Decision, decide


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
    assert decision.compared is (champion is not None)
    assert f"{decision.bar:.4f}" in decision.reason


def test_a_version_with_other_classes_than_the_champion_must_beat_the_floor_and_both_label_maps_are_named():
    """Before, the gate refused to score the champion, after the whole training, and at every further one."""
    others = {"label_map": "1" * 16, "other_classes": "version 3, which has label map 2222"}
    decision = decide(0.5, champion=None, floor=0.4, **others)
    assert decision.promote
    assert decision.reason == (
        "first version with label map 1111111111111111: mIoU 0.5000 beats the floor 0.4000; not compared with "
        "version 3, which has label map 2222"
    )
    assert not decide(0.3, champion=None, floor=0.4, **others).promote


def test_a_decision_survives_its_tag_and_another_text_is_refused():
    verdict = decide(0.5, champion=0.25, floor=0.1)
    decision = Decision(**verdict.model_dump(), version="3", label_map="0" * 16, champion="2")
    assert Decision.from_tag(decision.as_tag()) == decision
    assert decision.outcome == "promoted"
    for text in ("null", "{}", decision.as_tag()[:-1] + ', "waived": true}'):
        with pytest.raises(ValueError, match="not a decision of the gate"):
            Decision.from_tag(text)
