"""The class table of own data is edited between trainings: renamed, exchanged, and put back.

Before, each training after the first ran to its end and then failed at the gate, for ever.
"""

import pytest
import yaml
from drawing import draw_ids
from listed_datasets import listed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def test_a_renamed_class_compares_exchanged_names_begin_anew_and_going_back_is_asked_for(bare_project, tmp_path):
    mine = draw_ids(tmp_path / "fields")
    bare_project.run("segline", "init", str(mine))
    params = yaml.safe_load((bare_project.root / "params.yaml").read_text())
    bare_project.set(
        datasets=listed("fields"),
        training=params["training"] | {"steps": 1, "epochs": 1},
        search=params["search"] | {"trials": 1, "networks": ["xception_unet"], "width": [4]},
        promotion={"floor": {"fields": 0.01}},
    )
    table = mine / "classes.yaml"
    first = table.read_text()

    def train(text, *options, check=True):
        table.write_text(text)
        bare_project.run("dvc", "repro")
        return bare_project.run("segline", "train", *options, check=check)

    assert "first version: mIoU" in train(first).stdout
    client = bare_project.client()

    renamed = first.replace("class_1", "road")
    assert renamed != first
    said = train(renamed).stdout
    assert "on the same test split" in " ".join(said.split())  # compared with version 1

    exchanged = renamed.replace("road", "?").replace("class_2", "road").replace("?", "class_2")
    said = " ".join(train(exchanged).stdout.split())
    assert "only the floor applies" in said
    assert said.index("only the floor applies") < said.index("trial 1/1")
    assert "first version with label map" in said
    assert client.get_model_version_by_alias("segline-fields", "champion").version == 3

    refused = train(renamed, check=False)
    assert refused.returncode == 1
    assert "--earlier-classes" in refused.stderr
    assert "trial" not in refused.stdout
    assert client.get_model_version_by_alias("segline-fields", "champion").version == 3

    said = " ".join(train(renamed, "--earlier-classes").stdout.split())
    assert "is the champion again, instead of version 3" in said
    assert "reused" in said  # the run with these classes is finished
    assert client.get_model_version_by_alias("segline-fields", "champion").version in {1, 2}
