"""Derive the settings of a training from a dataset's fingerprint and a memory budget, by fixed rules.

The rules are nnU-Net's (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z), for colour images and
small networks. They do not depend on the machine: equal fingerprints, budgets and overrides give equal
plans everywhere. A value in ``params.yaml`` overrides its rule, and later rules use that value.
"""

from segline.training.plan.derivation import asked, make, neighbours
from segline.training.plan.known_weights import KnownWeights
from segline.training.plan.plan import Line, Plan

__all__ = ["KnownWeights", "Line", "Plan", "asked", "make", "neighbours"]
