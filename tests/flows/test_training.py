import pytest

from flows.training import _alone
from segline.errors import TrainingError
from segline.settings import Settings


def test_the_same_training_twice_at_once_is_refused(tmp_path):
    places = Settings(root=tmp_path, tracking_uri="sqlite://", workers=1)
    places.runs.mkdir(parents=True)
    with _alone(places, "key"):
        with pytest.raises(TrainingError, match="another process is training"), _alone(places, "key"):
            pass
        with _alone(places, "other"):
            pass
    with _alone(places, "key"):
        pass
