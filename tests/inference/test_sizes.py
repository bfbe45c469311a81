"""`predict` takes images of any size, whatever the network's stride: it pads, and cuts back."""

import keras
import numpy as np
import pytest

from segline import config, models
from segline.config import ModelConfig
from segline.core.labels import label_map
from segline.inference.bundle import Bundle
from segline.inference.predict import logits_of, predict

LABELS = label_map([(7, "dark", (200, 0, 0)), (9, "middle", (0, 200, 0)), (12, "bright", (0, 0, 200))], void=[0])
# The second has the first one's padded height alone; the others are smaller than most strides.
SIZES = [(33, 51), (60, 200), (5, 7), (1, 40), (1, 1)]
EVERY = [(network, {"depth": 4}) for network in config.network_names() if network != "deeplab_v3_plus"]
EVERY += [("deeplab_v3_plus", {"encoder": "mini_xception", "output_stride": stride}) for stride in (8, 32)]
EVERY += [
    ("deeplab_v3_plus", {"encoder": "mobilenet_v2"}),
    pytest.param("deeplab_v3_plus", {"encoder": "xception"}, marks=pytest.mark.slow),
]


def made(network: str, options: dict[str, object], *, short_side: int | None = None) -> Bundle:
    keras.utils.set_random_seed(1)
    wanted = ModelConfig.model_validate({"network": network, "classes": 3, "width": 2, **options})
    return Bundle(
        network=models.build(wanted),
        dataset="drawn",
        family=network,
        labels=LABELS,
        short_side=short_side,
        stride=models.stride(wanted),
    )


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("network", "options"), EVERY)
def test_masks_have_the_images_own_size_and_are_those_of_the_padded_image(
    network: str, options: dict[str, object]
) -> None:
    bundle = made(network, options)
    for size in SIZES:
        picture = image(*size)
        logits = logits_of(bundle, picture)
        assert logits.shape == (*size, 3)
        whole = np.pad(picture, [(0, -side % bundle.stride) for side in size] + [(0, 0)], mode="edge")
        expected = keras.ops.convert_to_numpy(bundle.network(whole[None]))[0, : size[0], : size[1]]
        np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)
        mask = predict(bundle, picture)
        assert mask.shape == size
        assert mask.dtype == np.uint8


@pytest.mark.parametrize("size", [(97, 61), (500, 33), (1, 90), (90, 1), (9, 700)])
def test_so_they_have_where_the_image_is_scaled_first(size: tuple[int, int]) -> None:
    bundle = made("xception_unet", {"depth": 2}, short_side=8)
    assert predict(bundle, image(*size)).shape == size
