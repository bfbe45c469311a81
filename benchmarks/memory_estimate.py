"""Compare the memory of fits with the estimate of `segline.training.fit.memory_estimate`: goal 0.75 to 1.25 of it.

    .venv/bin/python benchmarks/memory_estimate.py                  # every case, each in a process of its own
    .venv/bin/python benchmarks/memory_estimate.py unet xception    # cases whose name holds one of these

Measured is the peak anonymous resident memory (``VmHWM`` less mapped files) of a process that imports the training
flow, fits three steps, validates and writes its checkpoint. Other load on the machine does not change it. Linux only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIBIBYTE = 2**30
ROOT = Path(__file__).parents[1]
STEPS = 3


@dataclass(frozen=True)
class Case:
    """A fit: fields of the network and the training, crops in a step, and the shape of the validation batch."""

    model: dict[str, Any]
    batch: int
    crop: tuple[int, int]
    training: dict[str, Any]
    validated: tuple[int, int, int]


def case(
    network: str,
    batch: int,
    crop: tuple[int, int],
    *,
    classes: int = 3,
    training: Any = None,
    seen: Any = None,
    **options,
) -> Case:
    model = {"network": network, "classes": classes, "dropout": 0.2, **options}
    return Case(model, batch, crop, training or {}, seen or (1, *crop))


DECODERS = ("attention_unet", "deeplab", "fpn", "linknet", "psp", "unet", "unet_plus_plus")


def composed(decoder: str, **options) -> Case:
    return case("composed", 4, (192, 256), width=16, encoder="mobilenet_v2", decoder=decoder, **options)


CASES = {
    "unet, small": case("unet", 2, (64, 64), width=16, depth=4),
    "unet": case("unet", 8, (128, 160), width=16, depth=4),
    "unet, 19 classes": case("unet", 4, (192, 256), classes=19, width=16, depth=4),
    "unet, 19 classes, Lovasz": case(
        "unet", 4, (192, 256), classes=19, width=16, depth=4, training={"loss": {"lovasz": 1.0}}
    ),
    "unet, bfloat16": case("unet", 4, (192, 256), width=16, depth=4, training={"precision": "mixed_bfloat16"}),
    "unet, wide, averages": case("unet", 2, (64, 96), width=48, depth=4, training={"ema": 0.99}),
    "unet, residual, separable": case("unet", 4, (192, 256), width=16, depth=4, residual=True, separable=True),
    "unet, no norm": case("unet", 4, (192, 256), width=16, depth=4, batch_norm=False),
    "unet, large validation": case("unet", 2, (64, 64), classes=19, width=16, depth=4, seen=(1, 512, 1024)),
    "unet_plus_plus": case("unet_plus_plus", 4, (128, 160), width=16, depth=4, heads=4),
    "encoder_decoder": case("encoder_decoder", 8, (128, 160), width=32, depth=3),
    "xception_unet, small": case("xception_unet", 2, (64, 64), width=16, depth=4),
    "xception_unet": case("xception_unet", 8, (128, 160), width=32, depth=4),
    "deeplab_v3_plus, mobilenet_v2, small": case("deeplab_v3_plus", 2, (64, 64), width=8, encoder="mobilenet_v2"),
    "deeplab_v3_plus, mobilenet_v2": case("deeplab_v3_plus", 8, (128, 160), width=8, encoder="mobilenet_v2"),
    "deeplab_v3_plus, large validation": case(
        "deeplab_v3_plus", 2, (64, 64), classes=19, width=8, encoder="mobilenet_v2", seen=(2, 512, 1024)
    ),
    "deeplab_v3_plus, mini_xception": case("deeplab_v3_plus", 4, (192, 256), width=8, encoder="mini_xception"),
    "deeplab_v3_plus, efficientnet_lite0": case(
        "deeplab_v3_plus", 8, (128, 160), width=8, encoder="efficientnet_lite0"
    ),
    "deeplab_v3_plus, efficientnet_lite2": case(
        "deeplab_v3_plus", 4, (192, 256), width=8, encoder="efficientnet_lite2"
    ),
    "deeplab_v3_plus, efficientnetv2_b0": case("deeplab_v3_plus", 8, (128, 160), width=8, encoder="efficientnetv2_b0"),
    "deeplab_v3_plus, convnext_tiny": case("deeplab_v3_plus", 4, (128, 160), width=8, encoder="convnext_tiny"),
    "deeplab_v3_plus, xception": case("deeplab_v3_plus", 4, (128, 160), width=8, encoder="xception"),
    "deeplab_v3_plus, xception_65": case("deeplab_v3_plus", 2, (96, 128), width=16, encoder="xception_65"),
    "segnet": case("segnet", 4, (192, 256), width=16, depth=4),
    "fcn8s": case("fcn8s", 4, (192, 256), width=16),
    **{f"composed, {decoder}": composed(decoder) for decoder in DECODERS},
    "composed, unet, separable, bfloat16": composed("unet", separable=True, training={"precision": "mixed_bfloat16"}),
    "composed, unet, 4 heads": composed("unet", heads=4, output_stride=32),
    "composed, deeplab, separable": composed("deeplab", separable=True),
    "composed, psp, output stride 8": composed("psp", output_stride=8),
    "composed, unet, large validation": composed("unet", classes=19, separable=True, seen=(2, 512, 1024)),
}


class Silent:
    """A tracker that does nothing."""

    def log_params(self, params: Any) -> None: ...
    def log_metrics(self, metrics: Any, step: int) -> None: ...
    def log_artifact(self, path: Path, folder: str = "") -> None: ...
    def set_tags(self, tags: Any) -> None: ...


class Noise:
    """Random batches."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        self._shape, self._classes = shape, classes

    def __len__(self) -> int:
        return 1

    def batch(self, step: int) -> tuple[Any, Any]:
        import numpy as np

        generator = np.random.default_rng(step)
        images = generator.integers(0, 256, (*self._shape, 3), dtype=np.uint8)
        return images, generator.integers(0, self._classes, self._shape, dtype=np.uint8)


def fit(wanted: Case) -> dict[str, float]:
    """Run a fit in this process; return measured and estimated bytes."""
    sys.path.insert(0, str(ROOT))
    import flows.training  # noqa: F401 (for the memory of its imports)
    from segline.config import ModelConfig, Training
    from segline.training import backend
    from segline.training.fit.fit import fit as run
    from segline.training.fit.job import Job
    from segline.training.fit.memory_estimate import footprint

    backend.make_deterministic(seed=1, threads=2)
    model = ModelConfig.model_validate(wanted.model)
    training = Training.model_validate(
        {"crop": list(wanted.crop), "batch": wanted.batch, "steps": STEPS, "threads": 2, **wanted.training}
    )
    with tempfile.TemporaryDirectory() as folder:
        run(
            Job(model_config=model, training=training, learning_rate=1e-3, epochs=1, seed=1),
            train=Noise((wanted.batch, *wanted.crop), model.classes),
            validation=Noise(wanted.validated, model.classes),
            tracker=Silent(),  # type: ignore[arg-type]
            checkpoint=Path(folder) / "checkpoint.npz",
        )
    measured = peak()
    found = footprint(model, training)
    images, *size = wanted.validated
    estimate = max(
        found.of_training(crop=wanted.crop, batch=wanted.batch),
        found.of_validation(size=(size[0], size[1]), batch=images),
    )
    return {"measured": measured, "estimate": estimate, "ratio": measured / estimate}


def peak() -> int:
    """Return the peak resident memory of this process in bytes, without mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kibibytes = {
        name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines) if "kB" in value
    }
    return 1024 * (kibibytes["VmHWM"] - kibibytes["RssFile"] - kibibytes["RssShmem"])


def fit_apart(name: str) -> dict[str, float]:
    """Run `fit` for a case in a process of its own."""
    answer = subprocess.run(
        [sys.executable, __file__, "--here", name],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if answer.returncode:
        raise RuntimeError(f"{name}: {answer.stderr[-2000:]}")
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="cases whose name holds one of these; all of them if none is given")
    parser.add_argument("--here", metavar="CASE", help="fit that one in this process and print JSON")
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(fit(CASES[arguments.here])))
        return
    chosen = [name for name in CASES if not arguments.names or any(part in name for part in arguments.names)]
    print(f"{'fit':38} {'batch x crop':>14} {'estimate':>9} {'measured':>9} {'ratio':>6}")
    for name in chosen:
        found, wanted = fit_apart(name), CASES[name]
        size = f"{wanted.batch} x {wanted.crop[0]}x{wanted.crop[1]}"
        sides = (f"{found[side] / GIBIBYTE:.2f} GiB" for side in ("estimate", "measured"))
        print(f"{name:38} {size:>14} {' '.join(f'{side:>9}' for side in sides)} {found['ratio']:6.2f}", flush=True)


if __name__ == "__main__":
    main()
