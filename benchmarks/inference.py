"""Compare predicting a folder with a bare batched `predict` on ready tensors, and with a loop over images.

    .venv/bin/python benchmarks/inference.py --images 120 --rounds 5

Each round runs all three once, in turn, on the same images: photos of 512x256 of the drawn street sample, as PNG. The
bare `predict` reads, scales and writes nothing. The loop reads, predicts and writes one image after the other, as
`segline predict` did. Both routes write label maps and overlays. Ratios of one round are compared, and medians
reported. Peak memory is that of a process that does one of the three alone.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import machine
import numpy as np

from segline.data.images.decode import write_png
from segline.storage import atomic_file

NETWORKS = {
    "unet w12 d4": {"network": "unet", "width": 12, "depth": 4},
    "xception_unet w16 d4": {"network": "xception_unet", "width": 16, "depth": 4},
    "deeplab_v3_plus mobilenet_v2 w8": {"network": "deeplab_v3_plus", "width": 8, "encoder": "mobilenet_v2"},
}
HEIGHT, WIDTH = 256, 512
ROUTES = ("bare", "loop", "folder")
_MIB = 2**20


def main() -> None:
    options = _options()
    if options.route:
        _make_routes(options.folder, options.network)[options.route]()
        print(_read_peak())
        return
    print(machine.line("tensorflow", "keras", "numpy", "opencv-python-headless"), flush=True)
    print("| network | bare, images/s | folder / bare | folder / loop | equal ids | peak MiB: bare, loop, folder |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _draw(folder / "images", options.images)
        for network in NETWORKS:
            print(_measure(folder, network, options), flush=True)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=120, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--route", choices=ROUTES, help="run this one once, and print its peak memory")
    parser.add_argument("--network", choices=sorted(NETWORKS), help="with --route")
    parser.add_argument("--folder", type=Path, help="with --route")
    return parser.parse_args()


def _read_peak() -> int:
    """Return the peak of this process's memory, bytes; `getrusage` would give that of its parent if it was higher."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def _draw(folder: Path, count: int) -> None:
    """Draw smooth colours with some noise: what a PNG of a photo costs to read and to write."""
    folder.mkdir()
    generator = np.random.default_rng(1)
    for number in range(count):
        coarse = generator.integers(0, 256, (8, 16, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        write_png(folder / f"{number:04}.png", image // 2 + generator.integers(0, 24, image.shape, dtype=np.uint8))


def _make_routes(folder: Path, name: str) -> dict[str, Callable[[], None]]:
    from segline import models
    from segline.config import ModelConfig
    from segline.core.labels import label_map
    from segline.core.palette import safe_colours
    from segline.inference.bundle import Bundle
    from segline.inference.folder import predict_files
    from segline.inference.overlay import overlay, present, with_legend
    from segline.inference.photos import read_photo
    from segline.inference.predict import predict
    from segline.training.backend import make_deterministic

    make_deterministic(seed=1, threads=2)
    labels = label_map([(number, f"class {number}", colour) for number, colour in enumerate(safe_colours(3))])
    network = models.build(ModelConfig(classes=3, **NETWORKS[name]))
    bundle = Bundle(network=network, dataset="drawn", family="unet", labels=labels, short_side=None, stride=32)
    paths = sorted((folder / "images").iterdir())

    def bare() -> None:
        batch = np.stack([read_photo(path, levels=None).pixels for path in paths])
        bare.seconds = _time(lambda: network.predict(batch, batch_size=4, verbose=0))

    def loop() -> None:
        for path in paths:
            image = read_photo(path, levels=None).pixels
            mask = predict(bundle, image)
            picture = with_legend(overlay(image, mask, labels), present(mask), labels)
            for ending, content in (("labels", labels.decode(mask)), ("overlay", picture)):
                with atomic_file(folder / "loop" / f"{path.stem}_{ending}.png") as partial:
                    write_png(partial, content)

    def whole() -> None:
        output = Path(tempfile.mkdtemp(dir=folder))
        list(predict_files(bundle, folder / "images", output=output, report=print))
        (folder / "latest").unlink(missing_ok=True)
        (folder / "latest").symlink_to(output)

    return {"bare": bare, "loop": loop, "folder": whole}


def _measure(folder: Path, name: str, options: argparse.Namespace) -> str:
    routes = _make_routes(folder, name)
    for route in routes.values():  # traces the graph, and fills the caches of files
        route()
    rounds = []
    for _ in range(options.rounds):
        seconds = {route: _time(routes[route]) for route in ROUTES}
        seconds["bare"] = routes["bare"].seconds  # type: ignore[attr-defined]
        rounds.append(seconds)
    bare = statistics.median(options.images / seconds["bare"] for seconds in rounds)
    over_bare = statistics.median(seconds["bare"] / seconds["folder"] for seconds in rounds)
    over_loop = statistics.median(seconds["loop"] / seconds["folder"] for seconds in rounds)
    equal = all(
        (folder / "loop" / path.name).read_bytes() == path.read_bytes()
        for path in (folder / "latest").glob("[!.]*_labels.png")
    )
    memory = ", ".join(f"{_measure_memory(folder, name, route) / _MIB:.0f}" for route in ROUTES)
    return f"| {name} | {bare:.1f} | {over_bare:.2f} | {over_loop:.2f} | {'yes' if equal else 'NO'} | {memory} |"


def _time(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _measure_memory(folder: Path, name: str, route: str) -> int:
    command = [sys.executable, __file__, "--route", route, "--network", name, "--folder", str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(answer.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
