"""`segline evaluate` and `segline compare` on a drawn project."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from drawn_split import LABELS, Split, bundle
from places import ROOT

from segline import cli
from segline.data.prepare.prepared import FORMAT
from segline.evaluation import results
from segline.inference import bundle as bundles


def prepare(folder, short_side=30):
    """A prepared folder as `segline.data.prepare.prepare` leaves it, with the drawn samples in every split."""
    folder.mkdir(parents=True)
    rows, splits, samples = [], {}, Split(6, groups=["drive", "drive", "", "", "", ""])
    for name in ("train", "validation", "test"):
        at = {"images": 0, "masks": 0, "labels": 0}
        parts = {"images": [], "masks": [], "labels": []}
        for index, sample in enumerate(samples.ids):
            image, mask, label = samples.image(index), samples.mask(index), samples.label(index)
            rows.append(
                {
                    "id": sample,
                    "group": samples.groups[index],
                    "split": name,
                    "height": image.shape[0],
                    "width": image.shape[1],
                    "native_height": label.shape[0],
                    "native_width": label.shape[1],
                    "image_offset": at["images"],
                    "mask_offset": at["masks"],
                    "label_offset": at["labels"],
                }
            )
            for kind, content in (("images", image), ("masks", mask), ("labels", label)):
                parts[kind].append(np.ascontiguousarray(content).tobytes())
                at[kind] += content.size
        kinds = ("images", "masks", "labels") if name != "train" else ("images", "masks")
        for kind in kinds:
            (folder / f"{name}.{kind}").write_bytes(b"".join(parts[kind]))
        splits[name] = {"digest": f"{len(name):016x}", "pixels": [3, 9, 1, 0], "samples": len(samples)}
    (folder / "train.places").write_bytes(b"")
    table = pa.Table.from_pylist(rows)
    with pa.OSFile(str(folder / "index.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    meta = {
        "format": FORMAT,
        "dataset": "drawn",
        "extra_scores": [],
        "label_map": LABELS.digest,
        "protocol": "drawn/1",
        "short_side": short_side,
        "splits": splits,
    }
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.fixture
def project(tmp_path, monkeypatch):
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(params.replace("cost_seconds: 2.0", "cost_seconds: 0.01"), encoding="utf-8")
    prepare(tmp_path / "data" / "prepared" / "drawn")
    bundles.save(bundle(), tmp_path / "good")
    bundles.save(bundle(0.9), tmp_path / "worse")
    monkeypatch.setenv("SEGLINE_ROOT", str(tmp_path))
    return tmp_path


def run(*arguments):
    """Exit code of a command; its output is pytest's to capture."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_evaluations_are_written_shown_and_compared(project, capsys):
    assert run("evaluate", "--model", project / "good", "--dataset", "drawn", "--output", project / "out") == 0
    told = capsys.readouterr().out
    summary = json.loads((project / "out" / "evaluation.json").read_text())
    assert f"{summary['miou']:.4f}  [{summary['miou_low']:.4f}, {summary['miou_high']:.4f}]" in told
    assert "6 images in 5 groups: treat the interval as approximate" in " ".join(told.replace("│", " ").split())
    assert "bootstrap over 5 groups" in " ".join(told.replace("│", " ").split())
    stored = results.load(project / "out" / "evaluation.npz")
    assert stored.miou == summary["miou"]
    assert stored.groups == ("drive", "drive", "", "", "", "")
    page = (project / "out" / "evaluation.html").read_text()
    assert "(bootstrap over 5 groups)" in page
    assert "6 images in 5 groups, digest" in page
    for name in ("evaluation.html", "cost.json", "calibration.json"):
        assert (project / "out" / name).stat().st_size > 100
    assert json.loads((project / "out" / "calibration.json").read_text())["fitted_on"] == "validation"

    assert "boundary_miou" not in summary

    assert (
        run(
            "evaluate",
            "--model",
            project / "worse/network.keras",
            "--dataset",
            "drawn",
            "--no-confidence",
            "--boundary",
        )
        == 0
    )
    told = capsys.readouterr().out
    folder = project / "reports" / "drawn" / "worse-test"
    assert {path.name for path in folder.iterdir()} == {
        "cost.json",
        "evaluation.html",
        "evaluation.json",
        "evaluation.npz",
    }
    summary = json.loads((folder / "evaluation.json").read_text())
    assert f"boundary mIoU                   {summary['boundary_miou']:.4f}" in told
    assert summary["per_class_boundary_iou"]["rest"] is None
    assert run("compare", project / "out", folder / "evaluation.npz") == 0
    told = capsys.readouterr().out
    compared = json.loads((project / "reports" / "drawn" / "comparison" / "comparison.json").read_text())
    assert [row["name"] for row in compared["runs"]] == ["out", "worse-test"]
    assert f"{compared['runs'][1]['against_first']['difference']:+.4f}" in told
    assert compared["runs"][1]["against_first"]["difference"] < 0
    assert (compared["groups"], compared["interval_method"]) == (5, "bootstrap over 5 groups")
    assert (project / "reports" / "drawn" / "comparison" / "comparison.html").is_file()


def test_other_splits_are_scored_under_their_own_name_and_not_compared_with_the_test_split(project, capsys):
    for split in ("validation", "train"):
        assert run("evaluate", "--model", project / "good", "--dataset", "drawn", "--split", split) == 0
    reports = project / "reports" / "drawn"
    found = {name: results.load(reports / f"good-{name}" / "evaluation.npz") for name in ("validation", "train")}
    assert found["validation"].protocol == "drawn/1"
    assert found["train"].protocol == "drawn/1 at short side 30"
    assert json.loads((reports / "good-validation" / "calibration.json").read_text())["after"] is None
    capsys.readouterr()
    assert run("compare", reports / "good-validation", reports / "good-train") == 1
    told = capsys.readouterr().err
    assert "protocol is 'drawn/1' of good-validation, but 'drawn/1 at short side 30' of good-train" in told
    assert "split digest" in told
    assert not (reports / "comparison").exists()


def test_what_cannot_be_scored_is_refused_with_the_reason(project, capsys):
    from dataclasses import replace

    assert run("evaluate", "--model", project / "good", "--dataset", "drawn", "--split", "tset") == 1
    assert "no such split, expected one of train, validation, test" in capsys.readouterr().err
    assert run("evaluate", "--model", project / "good", "--dataset", "camvid") == 1
    assert "no prepared data" in capsys.readouterr().err
    assert run("evaluate", "--model", "", "--dataset", "drawn") == 1
    assert "--model: an empty name" in capsys.readouterr().err
    bundles.save(replace(bundle(), short_side=20), project / "smaller")
    assert run("evaluate", "--model", project / "smaller", "--dataset", "drawn", "--split", "train") == 1
    assert "no native labels to score another scale with" in capsys.readouterr().err
    assert run("evaluate", "--model", project / "smaller", "--dataset", "drawn") == 1
    assert "no raw data to make images of another scale from" in capsys.readouterr().err


def test_what_is_no_run_is_refused_with_what_would_be(project, capsys):
    shutil.copy(ROOT / "params.yaml", project / "text.npz")
    assert run("compare", project / "text.npz", project / "text.npz") == 1
    assert "no counts of an evaluation" in capsys.readouterr().err
    assert run("compare", "nobody-12345678", "f" * 32) == 1
    told = capsys.readouterr().err
    assert "no file, run or model of that name" in told
    assert "remedy:" in told


def test_a_comparison_is_never_written_outside_of_the_reports(project, capsys):
    from dataclasses import replace

    from segline.evaluation.bundles import evaluate

    found = replace(evaluate.evaluate(bundle(), Split(), progress=lambda *_: None), dataset="../../outside")
    for name in "ab":
        results.save(found, project / f"{name}.npz")
    before = {path for path in project.parent.rglob("*") if path.is_dir()}
    assert run("compare", project / "a.npz", project / "b.npz") == 1
    assert "dataset '../../outside' is not a plain name" in capsys.readouterr().err
    assert {path for path in project.parent.rglob("*") if path.is_dir()} == before


def test_comparing_files_needs_neither_keras_nor_mlflow(project):
    for name, bias in (("a", 0.0), ("b", 0.9)):
        from segline.evaluation.bundles import evaluate

        found = evaluate.evaluate(bundle(bias), Split(), progress=lambda *_: None)
        results.save(found, project / f"{name}.npz")
    script = (
        "import sys\nfrom segline.cli import app\n"
        "try:\n    app(args=sys.argv[1:])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'keras', 'tensorflow', 'mlflow'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", script, "compare", project / "a.npz", project / "b.npz"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert answer.returncode == 0, answer.stderr
    assert "difference to the first" in answer.stdout
