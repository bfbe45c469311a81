import pytest
from places import PARAMS

from segline import config
from segline.config import known_names
from segline.errors import ConfigError


@pytest.fixture
def changed(tmp_path):
    """params.yaml with a piece of its text replaced."""

    def change(old, new):
        text = PARAMS.read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "params.yaml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return change


def test_the_projects_own_params_are_good_and_name_what_exists():
    params = config.load(PARAMS)
    assert params.source == "sample"
    assert set(params.datasets) == {"kitti", "oxford_pets", "cityscapes"}
    assert set(config.network_names()) >= {"unet", "xception_unet"}
    assert set(params.options) == set(params.promotion.floor) >= set(params.datasets)


@pytest.mark.parametrize(
    ("old", "new", "place", "found", "expected"),
    [
        ("batch: 8", "bacth: 8", "training.bacth", "unknown key", "'batch'?"),
        ("seed: 1", "sead: 1", "sead", "unknown key", "'seed'?"),
        ("seed: 1", "", "seed", "missing", "this key"),
        ("batch: 8", "batch: eight", "training.batch", "'eight'", "a valid integer"),
        ("batch: 8", "batch: 0", "training.batch", "0", "greater than or equal to 1"),
        ("batch: 8", "batch: '8'", "training.batch", "'8'", "integer"),
        ("  kitti: src", "  kitty: src", "datasets.kitty", "'kitty'", "'kitti'?"),
        ("dataset: oxford_pets", "dataset: oxford-pets", "dataset", "'oxford-pets'", "'oxford_pets'?"),
        ("[unet, ", "[unett, ", "search.networks.0", "'unett'", "'unet'?"),
        ("crop: [128, 128]", "crop: [16, 128]", "training.crop.0", "16", "greater than or equal to 32"),
        ("steps: 12", "steps: -1", "training.steps", "-1", "greater than or equal to 0"),
        (
            "threads: 2",
            "threads: 2\n  augmentation: {kind: siezd}",
            "training.augmentation.kind",
            "'siezd'",
            "'scaled', 'sized' or 'none'",
        ),
        (
            "threads: 2",
            "threads: 2\n  augmentation: {kind: sized}",
            "training.augmentation",
            "",
            "`heights` if the kind is sized",
        ),
        ("trials: 4", "trials: 4\n  batchnorm: [false]", "search.batchnorm", "unknown key", "'batch_norm'?"),
        ("heads: [1]", "heads: [4]", "search", "heads", "lowest of `search.depth`"),
        ("crop: [128, 128]", "crop: 128", "training.crop", "128", "list"),
        ("short_side: 128", "short_side: -5", "prepare.short_side", "-5", "from 32 to 4096"),
        ("[0.001, 0.01]", "[0.1, 0.01]", "search.learning_rate", "[0.1, 0.01]", "low"),
        ("{kitti: 0.15", "{kity: 0.15", "promotion.floor.kity", "'kity'", "'kitti'?"),
        ("kitti: {}", "kitti: {tsk: road}", "options.kitti.tsk", "unknown key", "'task'?"),
        ("kitti: {}", "kity: {}", "options.kity", "'kity'", "'kitti'?"),
        ("seed: 1", "seed: 1\ndatasets: {}", "datasets", "the same key as in line", "each key once"),
        ("weight_decay: 0.01", "weight_decay: 1e-2", "training.weight_decay", "write 1.0e-3, not 1e-3", "number"),
        (
            "threshold: validation",
            "threshold: 1",
            "training.threshold",
            "1",
            "`validation`, or a number between 0 and 1",
        ),
        ("threshold: validation", "threshold: valid", "training.threshold", "'valid'", "`validation`, or"),
        ("quarantine_share: 0.02", "quarantine_share: 2", "validation.quarantine_share", "2", "less than or equal"),
    ],
)
def test_a_mistake_names_line_key_found_and_expected(changed, old, new, place, found, expected):
    path = changed(old, new)
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    message = str(caught.value)
    assert f" {place}: " in message
    assert found in message
    assert expected in message
    assert "remedy:" in message
    line = int(message.removeprefix(f"{path}:").split(" ")[0])
    text = path.read_text(encoding="utf-8").splitlines()[line - 1]
    assert new == "" or place.rsplit(".", 2)[-1] in text or any(part in text for part in place.split(".")[-2:])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  oxford_pets: src/segline/datasets/oxford_pets.py\n", "", "one of `datasets`"),
        ("crop: [128, 128]", "crop: [120, 128]", "`training.crop` [120, 128] in multiples of 16"),
        ("crop: [128, 128]", "crop: [512, 128]", "`prepare.short_side` 128"),
        ("oxford_pets: 0.4, ", "", "a `promotion.floor` for oxford_pets, such as `oxford_pets: 0.15`"),
        ("  cityscapes: {}\n", "", "an `options` entry for cityscapes, such as `cityscapes: {}`"),
        ("own: []", "own: [kitti]", "`own` to be []"),
        ("freeze: false", "freeze: true", "`search.weights` with `search.freeze`"),
    ],
)
def test_values_that_contradict_each_other_are_named(changed, old, new, expected):
    with pytest.raises(ConfigError, match=r"contradict|lacks an entry") as caught:
        config.load(changed(old, new))
    assert expected in str(caught.value)


@pytest.mark.parametrize("content", ["", "[1, 2", "- a\n- b\n", "\tseed: 1"])
def test_what_is_no_mapping_is_refused(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"params\.yaml"):
        config.load(path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        config.load(path)


def test_a_crop_need_only_suit_the_networks_that_may_be_chosen(changed):
    path = changed("depth: [3, 4]", "depth: [2, 3]")
    path.write_text(path.read_text(encoding="utf-8").replace("crop: [128, 128]", "crop: [120, 88]"), encoding="utf-8")
    assert config.load(path).training.crop == (120, 88)


def test_depth_counts_where_a_network_that_may_be_chosen_has_one(changed):
    def crop_for(old, new):
        path = changed("crop: [128, 128]", "crop: [112, 80]")
        text = path.read_text(encoding="utf-8").replace("depth: [3, 4]", "depth: [5]")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        return config.load(path).training.crop

    networks = "networks: [unet, xception_unet]"
    assert crop_for(networks, "networks: [deeplab_v3_plus]") == (112, 80)
    with pytest.raises(ConfigError, match=r"\[112, 80\] in multiples of 32"):
        crop_for(networks, "networks: [deeplab_v3_plus, unet]")


def test_networks_that_a_plan_takes_for_first_weights_have_no_depth():
    assert config.Search(depth=(5,)).has_depth
    assert not config.Search(depth=(5,), weights="imagenet").has_depth
    assert config.Search(depth=(5,), weights="imagenet", networks=("unet",)).has_depth


def test_options_of_networks_are_those_of_their_files():
    from segline import models

    for network in known_names.network_names():
        fields = set(config.ModelConfig.model_fields)
        assert known_names.network_options(network) == {name for name in fields if models.has_option(network, name)}


def test_crops_that_are_not_drawn_cannot_be_centred_on_something(changed):
    with pytest.raises(ConfigError, match="`rare` 0"):
        config.load(changed("rare: 0.0", "rare: 0.3\n  augmentation: {kind: none}"))


@pytest.mark.parametrize(("samples", "steps"), [(16, 2), (17, 3), (1, 1)])
def test_no_steps_are_as_many_as_one_pass_takes(changed, samples, steps):
    training = config.load(changed("steps: 12", "steps: 0")).training
    assert training.over(samples).steps == steps
    assert config.load(PARAMS).training.over(samples).steps == 12


def test_the_dataset_can_be_named_by_the_caller():
    assert config.load(PARAMS, dataset="kitti").dataset == "kitti"
    with pytest.raises(ConfigError, match="'kitti'"):
        config.load(PARAMS, dataset="kiti")


def test_what_a_run_depends_on_is_not_where_its_data_came_from(changed):
    first, second = config.load(PARAMS), config.load(changed("source: sample", "source: /somewhere"))
    assert first.resolved() == second.resolved()
    assert first.resolved() != config.load(changed("seed: 1", "seed: 2")).resolved()


@pytest.mark.parametrize("text", ["0.45", "validation"])
def test_a_threshold_is_a_number_or_validation(changed, text):
    value = config.load(changed("threshold: validation", f"threshold: {text}")).training.threshold
    assert str(value) == text


def test_a_file_of_weights_is_of_one_encoder(changed):
    assert config.load(changed("weights: null", "weights: imagenet")).search.weights_file is None
    one = changed("weights: null", "weights: mine.npz")
    assert config.load(one).search.weights_file == "mine.npz"
    two = one.read_text("utf-8").replace("encoders: [mobilenet_v2]", "encoders: [mobilenet_v2, xception]")
    one.write_text(two, "utf-8")
    with pytest.raises(ConfigError, match=r"one of `search\.encoders`"):
        config.load(one)


def test_a_password_in_the_source_is_refused_and_not_repeated(changed):
    with pytest.raises(ConfigError, match="source: an address with a secret in it") as caught:
        config.load(changed("source: sample", "source: https://user:hunter2@mirror.example/data"))
    assert "hunter2" not in str(caught.value)
    assert "SEGLINE_SOURCE_TOKEN" in str(caught.value)


DERIVED = (
    "  crop: [128, 128]\n  batch: 8\n"
    "  rare: 0.0  # share of the crops centred on a rare class (nnU-Net takes a third)\n"
    "  steps: 12  # batches in an epoch\n  epochs: 30\n  weight_decay: 0.01\n  warm_up: 0.1\n  dropout: 0.2\n"
)


def test_a_plan_may_leave_out_what_it_derives_and_fills_it_in(changed):
    params = config.load(changed(DERIVED, "  plan: auto\n  batch: 6\n"))
    assert not params.is_planned
    with pytest.raises(ValueError, match="plan: auto"):
        params.resolved()
    plan = {
        "crop": [64, 96],
        "batch": 99,
        "steps": 7,
        "epochs": 40,
        "weight_decay": 0.1,
        "warm_up": 0.3,
        "dropout": 0.0,
    }
    planned = params.planned(
        training={**plan, "loss": {"class_weights": "balanced", "dice": 9.0}}, search={"trials": 99}
    )
    assert planned.is_planned
    assert (planned.training.crop, planned.training.batch, planned.training.steps) == ((64, 96), 6, 7)
    assert (planned.training.loss.class_weights, planned.training.loss.dice) == ("balanced", 1.0)
    assert planned.search == params.search
    assert planned.resolved()["training"]["epochs"] == 40


def test_what_contradicts_a_plans_values_is_told_as_such():
    given = config.load(PARAMS).model_copy(update={"search": config.Search(heads=(4,))})
    with pytest.raises(
        ConfigError, match=r"params\.yaml search: heads, which contradict .*the lowest of `search\.depth`"
    ):
        given.planned(training={}, search={"depth": [3, 4]})


def test_a_plan_may_leave_out_the_whole_search(tmp_path):
    text = PARAMS.read_text(encoding="utf-8")
    start, end = text.index("search:\n"), text.index("evaluation:\n")
    path = tmp_path / "params.yaml"
    path.write_text((text[:start] + text[end:]).replace("training:\n", "training:\n  plan: auto\n"), encoding="utf-8")
    assert config.load(path).search.model_fields_set == set()
    path.write_text(text[:start] + text[end:], encoding="utf-8")
    with pytest.raises(ConfigError, match=r"search\.trials: missing"):
        config.load(path)


@pytest.mark.parametrize("key", ["crop: [128, 128]", "batch: 8", "warm_up: 0.1", "trials: 4"])
def test_without_a_plan_what_it_would_derive_must_be_there(changed, key):
    with pytest.raises(ConfigError, match=rf"\.{key.split(':')[0]}: missing") as caught:
        config.load(changed(f"  {key}\n", ""))
    assert "plan: auto" in str(caught.value)


def test_an_amount_of_images_needs_a_plan(changed):
    with pytest.raises(ConfigError, match=r"training\.plan: auto"):
        config.load(changed("  batch: 8\n", "  batch: 8\n  images: 5000\n"))


def test_a_mistake_beside_a_plan_is_told_with_its_line(changed):
    with pytest.raises(ConfigError, match=r"params\.yaml:\d+ training\.plan: found 'autoo'"):
        config.load(changed("  batch: 8\n", "  batch: 8\n  plan: autoo\n"))
    with pytest.raises(ConfigError, match=r"`training\.crop` "):
        config.load(changed("  crop: [128, 128]\n", "  plan: auto\n  crop: [512, 512]\n"))
