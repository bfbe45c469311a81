"""Both pages, drawn by a browser."""

import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from scored_network import evaluated

from segline.evaluation import compare as comparison
from segline.evaluation.comparison_summary import summarise_comparison
from segline.evaluation.report import comparison_page
from segline.project import Files

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ERRORS = """<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("securitypolicyviolation", (event) => errors.push(event.blockedURI));
addEventListener("load", () => {
  const tell = (page, told) =>
    parent.postMessage({ page, errors, scroll: document.documentElement.scrollWidth, ...told }, "*");
"""
COMPARISON_PROBE = """
  const lines = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return new Set([...range.getClientRects()].map((box) => box.top)).size;
  };
  const inside = (mark) => {
    const at = mark.getBoundingClientRect(), track = mark.parentElement.getBoundingClientRect();
    return at.width > 0 && at.left >= track.left - 1 && at.right <= track.right + 1;
  };
  tell("comparison", {
    heads: [...document.querySelectorAll(".runs thead th")].map(lines),
    names: [...document.querySelectorAll("#scores tbody th")].map(lines),
    intervals: [...document.querySelectorAll(".whisker s")].map(inside),
  });
});
</script>"""
EVALUATION_PROBE = """
  const view = document.querySelector(".view"), slider = view.querySelector("input");
  const halves = () => [...view.querySelectorAll(".half")].map((half) => {
    const at = half.getBoundingClientRect(), picture = half.parentElement.getBoundingClientRect();
    const touches = ["left", "right"].map((side) => Math.abs(at[side] - picture[side]) < 1);
    return [half.textContent, ...touches, at.width / picture.width];
  });
  const opened = { halves: halves(), truth: getComputedStyle(view.querySelector(".truth")).clipPath };
  slider.value = 2.7;
  slider.dispatchEvent(new Event("input"));
  const later = halves();
  slider.value = 2;
  slider.dispatchEvent(new Event("input"));
  const clip = (name) => getComputedStyle(view.querySelector(name)).clipPath;
  const hidden = () => getComputedStyle(view.querySelector(".safe")).display;
  const before = hidden();
  document.getElementById("palette-safe").click();
  const bars = [...document.querySelectorAll("#classes tbody tr")].filter((row) => row.querySelector(".gauge i"));
  const scales = bars.map((row) => {
    const at = (name) => row.querySelector(name).getBoundingClientRect(), track = at(".gauge");
    const [iou, low, high] = [...row.querySelectorAll(".value data")].map((found) => Number(found.value));
    const x = (share) => track.left + share * track.width, bar = at(".gauge i"), line = at(".gauge s");
    return [bar.left - x(0), bar.right - x(iou), line.left - x(low), line.right - x(high)];
  });
  const column = (stage) => stage.getBoundingClientRect().width / stage.parentElement.getBoundingClientRect().width;
  tell("evaluation", {
    scales, columns: [...document.querySelectorAll(".stage")].map(column),
    words: slider.getAttribute("aria-valuetext"),
    opened, later, shown: getComputedStyle(view.querySelector(".half")).display,
    truth: clip(".truth"), answer: clip(".answer"), mask_errors: clip(".errors"), before, after: hidden(),
  });
});
</script>"""
FRAME = """<style>body { margin: 0 } iframe { display: block; border: 0 }</style>
<iframe width=WIDTH height=900 src=evaluation.html></iframe><iframe width=WIDTH height=900 src=comparison.html></iframe>
<pre></pre><script>
const told = {};
addEventListener("message", (event) => {
  told[event.data.page] = event.data;
  document.querySelector("pre").textContent = JSON.stringify(told);
});
</script>"""


def looked_at(folder, *, width):
    """What both pages in `folder` tell of themselves in a window that is `width` pixels wide, and a picture of each."""
    # In frames, because a window of Chromium is never narrower than 500 pixels.
    (folder / "frame.html").write_text(FRAME.replace("WIDTH", str(width)), "utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--window-size=1400,2000", "--hide-scrollbars", "--virtual-time-budget=5000", "--dump-dom"]
    command += [f"--screenshot={folder / 'page.png'}", (folder / "frame.html").as_uri()]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True)
    picture = cv2.imread(str(folder / "page.png"))
    return json.loads(re.search(r"<pre>(.*?)</pre>", answer.stdout)[1]), (picture[:900], picture[900:1800])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at the pages with")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_draws_both_pages_without_an_error_or_a_sideways_scroll(written, tmp_path, width):
    named = [("v1", evaluated()), ("f49e67e75518472ca040a4ad8ba36878", evaluated(0.9)), ("run", evaluated(0.3))]
    summary = summarise_comparison(comparison.compare(named, resamples=100, confidence=0.9))
    pages = {
        "evaluation": ((written / Files.EVALUATION_PAGE).read_text(encoding="utf-8"), EVALUATION_PROBE),
        "comparison": (comparison_page.page(summary), COMPARISON_PROBE),
    }
    for name, (html, probe) in pages.items():
        (tmp_path / f"{name}.html").write_text(html.replace("</title>", f"</title>{ERRORS}{probe}", 1), "utf-8")
    told, pictures = looked_at(tmp_path, width=width)
    assert told.keys() == pages.keys()
    for name, picture in zip(pages, pictures, strict=True):
        assert told[name]["errors"] == []
        assert told[name]["scroll"] <= width
        assert len(np.unique(picture.astype(np.int64) @ [1, 256, 65536])) > 100  # colours
    check_slider(told["evaluation"])
    # A bar and its interval share one scale, to the pixel.
    assert len(told["evaluation"]["scales"]) == 3
    assert np.abs(told["evaluation"]["scales"]).max() < 1
    assert told["evaluation"]["columns"] == [1] * 8  # pictures are as wide as their column
    assert told["comparison"]["heads"] == [1 if width > 640 else 0] * 9  # in one line; a phone has none
    assert told["comparison"]["names"][::2] == [1, 1]  # short ones are not broken
    assert told["comparison"]["intervals"] == [True] * 5


def check_slider(told):
    """Opened between truth and prediction, then moved by `EVALUATION_PROBE` towards the errors, then to a stop."""
    # Left is the earlier stop, as the buttons are ordered, and the halves say which is which.
    assert told["opened"]["halves"] == [["truth", True, False, 0.5], ["prediction", False, True, 0.5]]
    assert told["opened"]["truth"] == "inset(0px 50% 0px 0%)"  # not the right half
    assert [half[0] for half in told["later"]] == ["prediction", "errors"]
    assert told["later"][1][3] == pytest.approx(0.7, abs=0.01)  # of the way to the errors, they are that wide
    assert told["words"] == "prediction"
    assert told["shown"] == "none"
    assert told["answer"] == "inset(0px 0%)"  # whole
    assert told["truth"] != told["answer"] != told["mask_errors"]
    assert (told["before"], told["after"]) == ("none", "block")
