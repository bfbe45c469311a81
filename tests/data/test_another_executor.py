"""Data stages on an executor that is not the pool of this machine."""

import pickle
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from segline.data.images import manifest
from segline.data.images.split import assign
from segline.data.prepare.prepare import prepare
from segline.data.validate.build_manifest import build_manifest
from segline.datasets.base import Dataset
from segline.parallel import forking, pool
from segline.progress import silent
from segline.project import Files


@pytest.fixture(autouse=True)
def _processes_even_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "FEW", 4)


class Remote(Executor):
    """Stands for a cluster: everything that goes to it and comes back is pickled, as on a wire."""

    def __init__(self) -> None:
        self.calls = 0
        self._threads = ThreadPoolExecutor(2)

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        self.calls += 1
        sent = pickle.dumps((function, arguments, options))
        return self._threads.submit(self._far_away, sent)

    def _far_away(self, sent: bytes) -> Any:
        function, arguments, options = pickle.loads(sent)
        return pickle.loads(pickle.dumps(function(*arguments, **options)))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait=wait)


def test_another_executor_takes_the_pools_place(tiny: Dataset, raw: Path, tmp_path: Path) -> None:
    def run(place: Path) -> dict[str, bytes]:
        pairs = tiny.pairs(raw)
        table = build_manifest(tiny, pairs, raw=raw, splits=assign(pairs, validation_share=0.2), workers=2)
        (place / "manifest").mkdir(parents=True)
        manifest.write(table, place / "manifest" / Files.MANIFEST)
        prepare(
            tiny,
            raw=raw,
            manifest_folder=place / "manifest",
            folder=place / "prepared",
            short_side=32,
            workers=2,
            report=silent,
        )
        return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}

    here = run(tmp_path / "here")
    for executor in (Remote(), ThreadPoolExecutor(2)):
        with executor, pool.using(executor):
            assert run(tmp_path / type(executor).__name__) == here
        assert getattr(executor, "calls", 12) == 12  # 6 samples, one a chunk, twice
    assert "prepared/train.images" in here
