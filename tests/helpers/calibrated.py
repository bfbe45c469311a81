"""How well a network's confidences are calibrated on a split, judged in a pass of its own."""

from segline.evaluation.bundles.confidence import Judge
from segline.evaluation.bundles.evaluate import predict_sample


def calibrate(bundle, split, *, fitted, progress):
    judge = Judge(bundle, split, fitted=fitted)
    for index in range(len(split)):
        judge.see(*predict_sample(bundle, split, index))
        progress(1)
    return judge.judged()
