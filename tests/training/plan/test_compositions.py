"""With initial weights, a plan offers few encoders under few decoders, priced, and chooses by successive halving."""

from typing import Any

import pytest
from plan_facts import FACTS, values

from segline.config import Search, Training
from segline.errors import ConfigError
from segline.training import plan
from segline.training.plan import KnownWeights, Plan, compositions, constants
from segline.training.rungs import count_epochs, list_rungs

HERE = dict.fromkeys(("efficientnet_lite0", "efficientnet_lite1"), "a package")


def make(*, memory: float = 4.0, training: dict[str, Any] | None = None, **search: Any) -> Plan:
    return plan.make(
        FACTS,
        short_side=128,
        training=Training.model_validate({"plan": "auto", "memory": memory, "threads": 1, **(training or {})}),
        search=Search.model_validate({"weights": "classification", "encoders": ["mini_xception"], **search}),
        weights=KnownWeights(here=HERE),
    )


def test_compositions_are_priced_and_chosen_by_successive_halving() -> None:
    """Before, deeplab_v3_plus was the only network, tried twice."""
    made = make()
    found = values(made)
    assert found["search.networks"] == ["composed"]
    assert found["search.decoders"] == list(constants.DECODERS)
    assert [(each.encoder, each.decoder) for each in made.compositions] == [
        ("mini_xception", decoder) for decoder in constants.DECODERS
    ]
    for each in made.compositions:
        assert 0 < each.bytes <= 4 * 2**30
        assert each.multiply_adds > 0 < each.parameters
    assert max(each.bytes for each in made.compositions) == made.memory["composed"]
    assert (found["search.trials"], found["search.halving"]) == (2, constants.HALVING)
    rungs = list_rungs(Search(trials=2, epochs=found["search.epochs"], halving=2))
    assert 1 < count_epochs(rungs) <= constants.COMPOSED_SHARE * found["training.epochs"]


def test_values_of_params_decide() -> None:
    found = values(make(decoders=["unet"], trials=3))
    assert (found["search.decoders"], found["search.trials"]) == (["unet"], 3)
    assert "search.halving" not in found  # one composition alone: nothing to choose but its rates


def test_fine_tuning_is_planned_for_compositions() -> None:
    found = values(make(decoders=["unet"]))
    assert found["search.encoder_rate"] == list(constants.ENCODER_RATES)
    assert found["training.fine_tuning.frozen_epochs"] == constants.FROZEN_EPOCHS
    assert found["training.fine_tuning.norms"] == "trained"  # 8 images at a time
    few = values(make(decoders=["unet"], training={"batch": 4}))
    assert few["training.fine_tuning.norms"] == "frozen"


def test_auto_takes_few_of_the_encoders_that_are_here() -> None:
    every = {name: "here" for _, encoders in constants.AUTO_ENCODERS for name in encoders}
    assert KnownWeights(here=HERE).choose(1) == ("efficientnet_lite0", "efficientnet_lite1")
    chosen = KnownWeights(here=every).choose(10**9)
    assert len(chosen) == constants.OFFERED_ENCODERS
    assert len(chosen) * len(constants.DECODERS) <= constants.COMPOSED_TRIALS


def test_a_second_encoder_whose_package_is_faulty_is_left_alone() -> None:
    faults = {"efficientnet_lite1": ConfigError("package", found="version 2", remedy="install version 1")}
    known = KnownWeights(here={"efficientnet_lite0": "a package", "efficientnet_lite2": "a package"}, faults=faults)
    assert known.choose(1) == ("efficientnet_lite0", "efficientnet_lite2")


def test_a_composition_that_is_too_dear_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compositions, "DEAREST", 1.01)
    made = make()
    assert len(made.compositions) == 1
    line = next(line for line in made.lines if line.key == "search.encoders")
    assert "would not fit, or take more than" in line.why


def test_a_budget_that_no_composition_meets_names_each() -> None:
    with pytest.raises(ConfigError, match="too small for any composition") as caught:
        make(memory=0.4)
    text = str(caught.value)
    assert "mini_xception under unet 0." in text
    assert "mini_xception under fpn 0." in text
    assert "raise training.memory to 0." in text
    with pytest.raises(ConfigError, match="too small for any"):
        make(memory=0.4, decoders=["unet"])  # both are given


def test_an_encoder_too_deep_for_the_crop_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"training\.crop: \[32, 64\], of which mini_xception would keep only one"):
        make(training={"crop": [32, 64]}, output_stride=[32], decoders=["unet"])


def test_the_output_stride_follows_the_crop() -> None:
    """Before, it was 16 for every crop; at 64 pixels, 32 would leave features of two pixels."""
    assert values(make(decoders=["unet"]))["search.output_stride"] == [32]
    assert values(make(decoders=["unet"], training={"crop": [64, 64]}))["search.output_stride"] == [16]


def test_networks_that_are_given_beside_compositions_get_a_trial_too() -> None:
    found = values(make(networks=["unet", "composed"], width=[4], depth=[2], training={"crop": [64, 64]}))
    assert (found["search.trials"], found["search.halving"]) == (3, constants.HALVING)
    assert values(make(networks=["unet"], width=[4], weights=None))["search.trials"] == constants.TRIALS
