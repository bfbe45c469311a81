"""The decision whether a new model (the challenger) replaces the champion."""
