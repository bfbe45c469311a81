"""The learning rate against its definition."""

import keras
import numpy as np
import pytest

from segline.training.objective.schedule import WarmUpDecay


def rates(schedule: WarmUpDecay) -> np.ndarray:
    return np.array([float(schedule(step)) for step in range(schedule.steps)])


def test_it_rises_linearly_then_decays_by_the_power() -> None:
    found = rates(WarmUpDecay(0.4, steps=20, warm_up=4))
    np.testing.assert_allclose(found[:4], [0.1, 0.2, 0.3, 0.4], rtol=1e-6)
    np.testing.assert_allclose(found[4:], 0.4 * (np.arange(16, 0, -1) / 16) ** 0.9, rtol=1e-6)


def test_a_cosine_falls_by_half_a_wave_and_a_constant_not_at_all() -> None:
    found = rates(WarmUpDecay(0.4, steps=20, warm_up=4, decay="cosine"))
    np.testing.assert_allclose(found[4:], 0.4 * (1 + np.cos(np.pi * np.arange(16) / 16)) / 2, rtol=1e-5)
    assert (rates(WarmUpDecay(0.4, steps=20, warm_up=4, decay="constant"))[3:] == np.float32(0.4)).all()


@pytest.mark.parametrize("decay", ["polynomial", "cosine", "constant"])
@pytest.mark.parametrize("warm_up", [0, 1, 10])
def test_every_step_has_a_rate_and_none_is_above_the_peak(warm_up: int, decay: str) -> None:
    found = rates(WarmUpDecay(1e-2, steps=10, warm_up=warm_up, decay=decay))
    assert (found > 0).all()
    assert found.max() == pytest.approx(1e-2)


def test_past_the_end_it_stays_zero() -> None:
    assert float(WarmUpDecay(1.0, steps=5)(9)) == 0.0


def test_a_warm_up_longer_than_the_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="7 of 5"):
        WarmUpDecay(1.0, steps=5, warm_up=7)


def test_it_survives_serialisation() -> None:
    schedule = WarmUpDecay(0.3, steps=9, warm_up=3, decay="cosine", power=2.0)
    optimizer = keras.optimizers.deserialize(keras.optimizers.serialize(keras.optimizers.AdamW(schedule)))
    restored = optimizer._learning_rate
    assert isinstance(restored, WarmUpDecay)
    np.testing.assert_array_equal(rates(restored), rates(schedule))
