from pathlib import Path

import yaml

from flows.data import stages

ROOT = Path(__file__).parent.parent.parent


def test_stages_are_dvcs_own_in_an_order_that_can_be_run():
    graph = stages(ROOT)
    datasets = yaml.safe_load((ROOT / "params.yaml").read_text())["datasets"]
    assert set(graph) == {
        f"{stage}@{dataset}"
        for stage in ("pick", "download", "extract", "validate", "size", "prepare")
        for dataset in datasets
    }
    seen = set()
    for name, needed in graph.items():
        assert needed <= seen
        seen.add(name)
    assert graph["prepare@kitti"] >= {"extract@kitti", "validate@kitti", "size@kitti"}
    assert not any(other.endswith("@cityscapes") for other in graph["prepare@kitti"])


def test_one_dataset_needs_only_its_own_stages():
    """Before, the flow ran all: training on kitti asked for Cityscapes' login."""
    names = {f"{stage}@kitti" for stage in ("pick", "download", "extract", "validate", "size", "prepare")}
    assert set(stages(ROOT, dataset="kitti")) == names
