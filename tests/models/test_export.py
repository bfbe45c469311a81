"""Every network leaves Keras as a SavedModel that takes images of any size and gives the same logits."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow

from segline import config, models
from segline.config import ModelConfig

# Keras 3.15 writes variables in a way that NumPy 2.4 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

EVERY: list[Any] = [
    (network, {"depth": 2} if models.has_option(network, "depth") else {})
    for network in config.network_names()
    if not models.has_option(network, "encoder")
]
EVERY += [
    pytest.param(
        "composed", {"encoder": "mini_xception", "decoder": decoder}, marks=[pytest.mark.slow] * (decoder != "psp")
    )
    for decoder in config.decoder_names()
]
EVERY += [
    ("unet", {"depth": 2, "heads": 2}),
    ("unet", {"depth": 2, "residual": True, "separable": True, "batch_norm": False, "penultimate": 2}),
    ("unet_plus_plus", {"depth": 2, "heads": 2}),
]
EVERY += [("deeplab_v3_plus", {"encoder": "mini_xception", "output_stride": stride}) for stride in (8, 32)]
EVERY += [
    ("deeplab_v3_plus", {"encoder": "mobilenet_v2"}),
    pytest.param("deeplab_v3_plus", {"encoder": "xception"}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("network", "options"), EVERY)
def test_an_exported_network_gives_equal_logits_at_other_sizes(
    network: str, options: dict[str, object], tmp_path: Path
) -> None:
    wanted = ModelConfig.model_validate({"network": network, "classes": 5, "width": 4, **options})
    model = models.deployed(models.build(wanted))
    model.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    served = tensorflow.saved_model.load(str(tmp_path / "saved"))
    generator = np.random.default_rng(0)
    for shape in ((1, 32, 64, 3), (2, 64, 32, 3)):
        images = generator.integers(0, 256, shape).astype(np.float32)
        logits = served.serve(images)
        assert logits.shape == (*shape[:3], 5)
        np.testing.assert_allclose(logits, keras.ops.convert_to_numpy(model(images)), rtol=1e-4, atol=1e-4)
