"""What the pages of scores say, read as a browser would, and once by a browser."""

import base64
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from segline.core.calibration import Calibration
from segline.core.labels import VOID
from segline.core.palette import safe_colours
from segline.evaluation import comparison, cost, record
from segline.evaluation import evaluate as library
from segline.evaluation.page import compared, evaluated, exhibits
from tests.evaluation.drawn import LABELS, Split, bundle
from tests.evaluation.pages import Page, value_of
