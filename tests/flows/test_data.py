from pathlib import Path

import yaml

from flows.data import stages

ROOT = Path(__file__).parent.parent.parent


def test_stages_are_dvcs_own_in_an_order_that_can_be_run():
    graph = stages(ROOT)
    datasets = yaml.safe_load((ROOT / "params.yaml").read_text())["datasets"]
    assert set(graph) == {
        f"{stage}@{dataset}" for stage in ("download", "extract", "validate", "size", "prepare") for dataset in datasets
    }
    seen = set()
    for name, needed in graph.items():
        assert needed <= seen
        seen.add(name)
    assert graph["prepare@kitti"] >= {"extract@kitti", "validate@kitti", "size@kitti"}
    assert not any(other.endswith("@cityscapes") for other in graph["prepare@kitti"])
