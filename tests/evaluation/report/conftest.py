"""An evaluation with all that a page can hold."""

import pytest
from calibrated import calibrate
from drawn_split import Split, bundle
from scored_network import evaluated

from segline.evaluation.bundles import confidence as calibration
from segline.evaluation.report import write
from segline.evaluation.summary import summarise


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of an evaluation with all that a page can hold."""
    folder, network, split, evaluation = tmp_path_factory.mktemp("report"), bundle(), Split(), evaluated()
    fitted = calibration.Fitted(temperature=1.5, split="validation", digest="another")
    judged = calibrate(network, split, fitted=fitted, progress=lambda *_: None)
    summary = summarise(evaluation, resamples=100, confidence=0.9, baseline=evaluation.baseline(commonest=1))
    write.write(
        folder,
        bundle=network,
        split=split,
        evaluation=evaluation,
        summary=summary,
        model="drawn & quartered",
        threads=2,
        calibration=judged,
    )
    return folder
