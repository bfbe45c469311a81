from pathlib import Path

from infra.added_packages import added

ROOT = Path(__file__).parents[2]
KNOWN = "a==1 \\\n    --hash=sha256:0\n    # via b\nb==2 ; python_version < '3.12' \\\n    --hash=sha256:1\n"
MORE = "a[x]==1 \\\n    --hash=sha256:0\nc==3 \\\n    --hash=sha256:2\n    # via a\n"


def test_only_packages_that_the_first_lock_lacks_are_kept():
    assert added(MORE, KNOWN) == "c==3 \\\n    --hash=sha256:2\n    # via a\n"
    assert added(KNOWN, KNOWN) == ""


def test_the_lock_for_a_gpu_adds_cuda_alone_and_pins_every_package_with_digests():
    """Before, the extra `gpu` was in no lock, and no command installed it."""
    text = (ROOT / "requirements-gpu.txt").read_text()
    assert added(text, (ROOT / "requirements.txt").read_text()) == text
    pinned = [line for line in text.splitlines() if not line.startswith((" ", "#"))]
    assert all(line.startswith("nvidia-") and "==" in line for line in pinned)
    assert any(line.startswith("nvidia-cudnn-cu12==") for line in pinned)
    assert text.count("--hash=sha256:") >= len(pinned)
    assert "http" not in text  # no address of a registry
