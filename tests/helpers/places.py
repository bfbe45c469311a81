"""Where the checkout and what is lent to it lie, however deep a test is."""

from pathlib import Path

HELPERS = Path(__file__).parent
ROOT = HELPERS.parents[1]
PARAMS = ROOT / "params.yaml"
REAL = ROOT.parent / "shared" / "data" / "mirror"
"""Real archives of KITTI and Oxford Pets, lent for development; tests that want them are skipped without."""
