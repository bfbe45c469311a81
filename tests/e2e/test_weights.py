"""A training that starts from published weights says which, is found again, and never starts from others."""

import os
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import yaml

from segline.models.weights import catalogue

LITE = catalogue.find("efficientnet_lite0")


@pytest.mark.slow
def test_auto_is_in_run_key_and_lineage_and_a_rerun_without_the_weights_stops(project_copy, tmp_path):
    try:
        place = distribution(LITE.package).locate_file("")
    except PackageNotFoundError:
        pytest.skip(f"{LITE.package} is not installed (extra pretrained)")
    environment, source = project_copy.environment, project_copy.environment["PYTHONPATH"]
    environment |= {"SEGLINE_WORKERS": "1", "PYTHONPATH": os.pathsep.join([source, str(place)])}
    params = yaml.safe_load((project_copy.root / "params.yaml").read_text())
    search = params["search"] | {"trials": 1, "networks": ["deeplab_v3_plus"], "width": [1], "weights": "auto"}
    project_copy.set(
        training=params["training"] | {"epochs": 1, "steps": 2},
        search=search | {"encoders": [LITE.encoder]},
        promotion={"floor": {"oxford_pets": 0.001}},
    )
    project_copy.train()
    (parent,) = project_copy.parents()
    assert parent.data.tags["segline.weights"] == f"{LITE.encoder} from {LITE.origin}, sha256:{LITE.digest}"
    assert LITE.digest in parent.data.tags["segline.params"]
    recorded = yaml.safe_load((project_copy.root / "weights.yaml").read_text())
    assert recorded == {"oxford_pets": {LITE.encoder: LITE.digest}}
    assert "reused" in project_copy.train().stderr

    kept = project_copy.root / ".segline/weights" / f"{LITE.encoder}-{LITE.digest[:16]}.npz"
    kept.unlink()  # and the package is now another version's
    info = tmp_path / "lib" / f"{LITE.package.replace('-', '_')}-0.2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {LITE.package}\nVersion: 0.2.0\n")
    environment["PYTHONPATH"] = os.pathsep.join([source, str(info.parent), str(place)])
    stopped = project_copy.train(check=False)
    assert stopped.returncode == 1
    assert "found" not in stopped.stdout
    assert "version 0.2.0, expected version 0.1.0" in stopped.stderr
    assert len(project_copy.parents()) == 1
