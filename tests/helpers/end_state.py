"""What a training leaves behind, to compare a disturbed one with an undisturbed one."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np


def state(project, parent):
    """What the run `parent` left, ids and times aside: weights, counts, decision, trials and curve."""
    import keras

    client = project.client()
    version = client.get_model_version_by_alias("segline-oxford_pets", "champion")
    assert version.run_id == parent.info.run_id
    evaluation = Path(client.download_artifacts(parent.info.run_id, "evaluation/evaluation.npz"))
    with np.load(evaluation) as content:
        counts = content["per_image"]
    model = Path(urlsplit(client.get_logged_model(version.source.rpartition("/")[2]).artifact_location).path)
    network = keras.saving.load_model(model / "artifacts" / "bundle" / "network.keras", compile=False)
    return {
        "counts": counts.tobytes(),
        "weights": b"".join(weight.tobytes() for weight in network.get_weights()),
        "decision": parent.data.tags["segline.decision"],
        "version": int(version.version),
        "trials": sorted(
            (run.data.tags["segline.child"], json.dumps(run.data.params, sort_keys=True), run.data.metrics["score"])
            for run in project.children(parent)
        ),
        "curve": [(point.step, point.value) for point in client.get_metric_history(parent.info.run_id, "val_miou")],
    }
