import cv2
import numpy as np
import pytest

from segline.core.labels import VOID, label_map
from segline.inference.overlay import with_legend
from segline.training.fit.batch_pictures import batch_picture

LABELS = label_map([(7, "dark", (200, 0, 0)), (9, "middle", (0, 200, 0)), (12, "bright", (0, 0, 200))], void=[0])
LEGEND = with_legend(np.zeros((1, 1, 3), np.uint8), [], LABELS).shape[1] - 1


def batch(count: int, sides: tuple[int, int] = (40, 80)) -> tuple[np.ndarray, np.ndarray]:
    """Grey crops whose upper half is the first class, the lower right quarter void, the rest the third."""
    masks = np.zeros((count, *sides), np.uint8)
    masks[:, sides[0] // 2 :] = 2
    masks[:, sides[0] // 2 :, sides[1] // 2 :] = VOID
    return np.full((count, *sides, 3), 100, np.uint8), masks


def draw(folder, count: int, sides: tuple[int, int] = (40, 80)) -> np.ndarray:
    batch_picture(batch(count, sides), LABELS, folder / "batch.png")
    return cv2.cvtColor(cv2.imread(str(folder / "batch.png")), cv2.COLOR_BGR2RGB)


def test_each_crop_stands_beside_its_mask_and_void_is_no_class(tmp_path):
    picture = draw(tmp_path, 1)[:, :-LEGEND]
    image, covered = picture[:80, :160], picture[:80, 160:320]  # enlarged to be seen
    assert (image == 100).all()
    assert (covered[10, 10] == [150, 50, 50]).all()  # half the class's colour
    assert (covered[70, 10] == [50, 50, 150]).all()
    assert (covered[39, 10] == 255).all()  # the edge between them
    hatch = covered[50:70, 100:150].reshape(-1, 3)
    assert (hatch == hatch[:, :1]).all()  # grey, in stripes of two brightnesses
    assert len(np.unique(hatch[:, 0])) == 2


def test_the_legend_names_the_classes_that_are_there(tmp_path):
    legend = draw(tmp_path, 2)[:, -LEGEND:].reshape(-1, 3)
    shown = [(legend == item.colour).all(axis=1).any() for item in LABELS.classes]
    assert shown == [True, False, True]


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (2, 1), (3, 2), (8, 4), (64, 4)])
def test_a_large_batch_is_shown_in_part(tmp_path, count, rows):
    assert draw(tmp_path, count).shape[0] == 86 * rows


def test_large_crops_are_made_smaller(tmp_path):
    assert draw(tmp_path, 1, (512, 1024)).shape[:2] == (166, 2 * 320 + 6 + LEGEND)
