"""`segline score` as people call it: in a process of its own, mostly outside of any project."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from page_reader import Page, value_of

from segline.data.images.decode import write_png
from segline.project import Files

SCHEMA = json.loads((Path(__file__).parents[1] / "docs/score.schema.json").read_text())
NEVER = {"keras", "tensorflow", "mlflow", "great_expectations", "prefect", "albumentations", "matplotlib"}
# The modules are told even where the command ends with exit code 1.
SCRIPT = """
import sys
from segline.cli import main
try:
    main()
finally:
    print("MODULES", *sorted({name.split(".")[0] for name in sys.modules}))
"""


def run(*arguments, cwd):
    command = [sys.executable, "-c", SCRIPT, "score", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def imported(answer):
    return set(answer.stdout.splitlines()[-1].removeprefix("MODULES ").split())


@pytest.fixture
def kitti(tmp_path):
    """Three KITTI frames and their predictions."""
    generator = np.random.default_rng(4)
    for frame in range(3):
        truth = generator.choice(np.array([0, 7, 8, 23, 26], dtype=np.uint8), (14, 25))
        wrong = generator.random(truth.shape) < 0.3
        prediction = np.where(wrong, np.uint8(26), truth)
        for name, ids in ((f"truth/{frame:06d}_10", truth), (f"prediction/{frame:06d}_10_labels", prediction)):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            write_png(tmp_path / f"{name}.png", ids)
    return tmp_path


ASKED = ("--dataset", "kitti", "--truth", "truth", "--prediction", "prediction")


def test_a_score_is_printed_and_written_without_a_model_a_project_or_anything_heavy(kitti):
    answer = run(*ASKED, "--json", "out/score.json", "--counts", "out/counts.npz", "--resamples", "200", cwd=kitti)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert imported(answer) & NEVER == set()
    content = json.loads((kitti / "out/score.json").read_text())
    jsonschema.validate(content, SCHEMA)
    assert (content["images"], content["resamples"], content["prediction_ids"]) == (3, 200, "raw")
    figures = ("miou", "miou_low", "miou_high", "pixel_accuracy")
    assert all(f"{content[name]:.4f}" in answer.stdout for name in figures)
    assert all(content[name] in answer.stdout for name in ("protocol", "split_digest", "label_map_digest", "caveat"))
    assert f"{content['per_class_iou']['car']:.4f}" in answer.stdout
    assert f"{content['void_pixels']:,} void" in answer.stdout

    from segline.evaluation import results

    assert results.load(kitti / "out/counts.npz").digest == content["counts_digest"]


def test_in_a_project_the_drives_of_the_split_are_drawn_whole(kitti):
    """The labels are those that the manifest lists as the test split; several of its frames are of one drive."""
    from segline import datasets
    from segline.data.images import manifest, split
    from segline.data.validate.build_manifest import build_manifest
    from segline.datasets.kitti import drive_of
    from segline.evaluation import results

    definition, raw, frames = datasets.load("kitti"), kitti / "data/raw/kitti", range(82, 90)
    generator = np.random.default_rng(9)
    for folder in ("training/image_2", "training/semantic", "answers"):
        (raw / folder).mkdir(parents=True)
    for frame in frames:
        truth = generator.choice(np.array([0, 7, 8, 23, 26], dtype=np.uint8), (14, 25))
        write_png(raw / f"training/image_2/{frame:06d}_10.png", generator.integers(0, 256, (14, 25, 3), np.uint8))
        write_png(raw / f"training/semantic/{frame:06d}_10.png", truth)
        wrong = generator.random(truth.shape) < 0.3
        write_png(raw / f"answers/{frame:06d}_10_labels.png", np.where(wrong, np.uint8(26), truth))
    pairs = definition.pairs(raw)
    table = build_manifest(definition, pairs, raw=raw, splits=split.assign(pairs, validation_share=0.2), workers=1)
    (kitti / "data/manifest/kitti").mkdir(parents=True)
    manifest.write(table, kitti / "data/manifest/kitti" / Files.MANIFEST)
    (kitti / "params.yaml").write_text((Path(__file__).parents[1] / "params.yaml").read_text())
    folders = ("--truth", raw / "training/semantic", "--prediction", raw / "answers")
    written = ("--json", "score.json", "--counts", "counts.npz")
    answer = run("--dataset", "kitti", *folders, "--split", "test", *written, cwd=kitti)
    assert answer.returncode == 0, answer.stderr
    drives = tuple(map(drive_of, frames))
    groups = len(set(drives))
    assert 1 < groups < len(frames)
    content = json.loads((kitti / "score.json").read_text())
    jsonschema.validate(content, SCHEMA)
    assert (content["split"], content["groups"]) == ("test", groups)
    assert f"(95 %, bootstrap over {groups} groups)" in answer.stdout
    assert f"8 images in {groups} groups" in answer.stdout
    (page,) = (kitti / "reports/kitti").glob(f"score-semantics-answers-*-test/{Files.EVALUATION_PAGE}")
    assert f"page: {page}" in answer.stdout
    assert "the test split of kitti" in page.read_text("utf-8")
    assert results.load(kitti / "counts.npz").groups == drives
    assert imported(answer) & NEVER == set()


def test_a_label_map_that_is_scored_is_not_overwritten(kitti):
    """`--json truth/NAME.png` replaced the user's label by JSON."""
    label = next((kitti / "truth").rglob("*.png"))
    before = label.read_bytes()
    answer = run(*ASKED, "--json", str(label), cwd=kitti)
    assert answer.returncode == 1
    assert "a file that is there, in a folder that is scored" in answer.stderr
    assert label.read_bytes() == before


def test_a_page_shows_the_scores_their_origin_and_the_worst_images_without_a_model(kitti):
    answer = run(*ASKED, "--page", "out/score.html", "--json", "score.json", "--boundary", cwd=kitti)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"page: {Path('out/score.html')}" in answer.stdout
    assert imported(answer) & NEVER == set()
    content = json.loads((kitti / "score.json").read_text())
    page = Page((kitti / "out/score.html").read_text("utf-8"))
    page.check()
    assert {"classes", "categories", "confusion", "images"} <= set(page.ids)
    assert not {"calibration", "cost", "pictures"} & set(page.ids)
    for name, found in page.figures.items():
        assert all(value == value_of(content, name) for value, _ in found), name
    text = " ".join(page.text)
    assert "no published split" in text
    assert all(content[name] in text for name in ("caveat", "prediction_ids_because", "split_because", "truth"))
    assert all(name in text for name in content["per_image_miou"])
    assert not (kitti / "reports").exists()


def test_a_page_that_nobody_asked_for_costs_no_score(kitti):
    (kitti / "params.yaml").write_text((Path(__file__).parents[1] / "params.yaml").read_text())
    (kitti / "reports").write_text("a file where the folder would be")
    answer = run(*ASKED, cwd=kitti)
    assert answer.returncode == 0
    assert "mIoU" in answer.stdout
    assert "warning: no page was written" in answer.stderr
    assert run(*ASKED, "--page", "reports/score.html", cwd=kitti).returncode == 1


def test_categories_are_always_shown_and_edges_where_that_is_asked_for(kitti):
    answer = run(*ASKED, "--boundary", "--json", "score.json", cwd=kitti)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert imported(answer) & NEVER == set()
    content = json.loads((kitti / "score.json").read_text())
    jsonschema.validate(content, SCHEMA)
    lines = answer.stdout.splitlines()
    bounds = r"\[0\.[0-9]{4}, [01]\.[0-9]{4}\]"
    car = f"{content['per_class_iou']['car']:.4f} +{bounds} +{content['per_class_boundary_iou']['car']:.4f} +"
    assert any(re.fullmatch(f"car +{car}{content['per_class_images']['car']} +[0-9,]+ *", line) for line in lines)
    assert any(re.fullmatch(f"flat +{content['per_category_iou']['flat']:.4f} +{bounds} *", line) for line in lines)
    assert any(re.fullmatch("human +absent *", line) for line in lines)
    assert any(re.fullmatch(f"boundary mIoU +{content['boundary_miou']:.4f} .*", line) for line in lines)
    assert any(re.fullmatch(f"mIoU of the categories +{content['mean_category_iou']:.4f} .*", line) for line in lines)


def test_another_task_has_another_protocol(kitti):
    answer = run(*ASKED, "--task", "road", "--json", "score.json", cwd=kitti)
    assert answer.returncode == 0
    content = json.loads((kitti / "score.json").read_text())
    assert (content["task"], content["protocol"]) == ("road", "kitti-semantics-road/1")
    assert list(content["per_class_iou"]) == ["not road", "road"]


def test_what_cannot_be_scored_prints_no_score_and_writes_no_file(kitti):
    (kitti / "prediction/000001_10_labels.png").unlink()
    (kitti / "score.json").write_text("of last week")
    answer = run(*ASKED, "--json", "score.json", cwd=kitti)
    assert answer.returncode == 1
    assert answer.stdout.startswith("MODULES")
    assert "images without a prediction, of 3: 1 (000001_10)" in answer.stderr
    assert "remedy:" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert (kitti / "score.json").read_text() == "of last week"


def test_scores_and_counts_are_not_written_over_each_other(kitti):
    (kitti / "link").symlink_to("score.json")
    for counts in ("score.json", kitti / "score.json", "truth/../score.json", "link"):
        answer = run(*ASKED, "--json", "score.json", "--counts", counts, cwd=kitti)
        assert answer.returncode == 1
        assert f"--json score.json --counts {counts}: the same file for both" in answer.stderr
        assert answer.stdout.startswith("MODULES")
        assert "cv2" not in imported(answer)  # nothing was scored
        assert not (kitti / "score.json").exists()


def test_names_of_files_reach_the_terminal_escaped(kitti):
    (kitti / "prediction/000000_10_labels.png").rename(kitti / "prediction/a\x1b[2J\nb.png")
    answer = run(*ASKED, "--truth", "truth\x1b[3J", cwd=kitti)
    assert r"--truth truth\x1b[3J: no such folder" in answer.stderr
    answer = run(*ASKED, cwd=kitti)
    assert r"predictions without a label: 1 (a\x1b[2J\nb.png)" in answer.stderr


def test_one_image_is_not_told_as_several(kitti):
    for path in [*kitti.glob("*/000001*"), *kitti.glob("*/000002*")]:
        path.unlink()
    answer = run(*ASKED, cwd=kitti)
    assert answer.returncode == 0
    assert "1 image" in answer.stdout
    assert "1 images" not in answer.stdout


def test_scores_go_where_standard_output_goes(kitti):
    """What a link to it is; the process's own is a pipe here."""
    (kitti / "out").symlink_to("/proc/self/fd/1")
    answer = run(*ASKED, "--json", "out", cwd=kitti)
    assert (answer.returncode, answer.stderr) == (0, "")
    content, end = json.JSONDecoder().raw_decode(answer.stdout)
    jsonschema.validate(content, SCHEMA)
    assert "mIoU" in answer.stdout[end:]
    assert (kitti / "out").is_symlink()


def test_the_same_folder_twice_is_scored_with_a_warning(kitti):
    answer = run("--dataset", "kitti", "--truth", "truth", "--prediction", "truth", cwd=kitti)
    assert answer.returncode == 0
    assert f"{'mIoU':30}  1.0000  [0.3684, 1.0000]" in answer.stdout  # of three images that are wholly right
    assert "warning: the predictions are the same files as the labels" in answer.stderr


@pytest.mark.parametrize(
    ("option", "value", "code", "said"),
    [
        ("--dataset", "kiti", 1, "'kitti'?"),
        ("--task", "rod", 1, "'road'?"),
        ("--truth", "nowhere", 1, "--truth nowhere: no such folder"),
        ("--split", "test", 1, "no manifest"),
        ("--split", "val", 2, "'validation'"),
        ("--ids", "colour", 2, "'raw'"),
        ("--json", "truth", 2, "is a directory"),
        ("--counts", "truth", 2, "is a directory"),
    ],
)
def test_options_that_mean_nothing_are_refused(kitti, option, value, code, said):
    answer = run(*ASKED, option, value, cwd=kitti)
    assert answer.returncode == code
    assert said in answer.stderr


def test_in_a_project_its_params_say_what_is_scored(kitti):
    text = (Path(__file__).parents[1] / "params.yaml").read_text()
    changed = text.replace("  kitti: {}", "  kitti: {task: road, split: last_30}").replace(
        "resamples: 1000", "resamples: 150"
    )
    assert changed.count("last_30}") == 1
    (kitti / "params.yaml").write_text(changed)
    answer = run(*ASKED, "--json", "score.json", cwd=kitti)
    assert answer.returncode == 0, answer.stderr
    content = json.loads((kitti / "score.json").read_text())
    assert (content["protocol"], content["resamples"]) == ("kitti-semantics-road/1+last_30", 150)
    run(*ASKED, "--task", "semantics", "--json", "score.json", cwd=kitti)
    assert json.loads((kitti / "score.json").read_text())["protocol"] == "kitti-semantics/1+last_30"
