"""What a network answers about one image: classes, probabilities and confidences at the image's own size."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from segline.core.labels import VOID, Image, LabelMap, Mask
from segline.core.metrics.temperature import Probabilities, softmax
from segline.core.metrics.threshold import Logits
from segline.inference.bundle import Bundle
from segline.inference.predict import mask_of, resized

Confidence = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one image. What is not asked for is not computed.

    Args:
        name: of the image's file, with the folders below the source: ``night/a.png``.
        bundle: the network that answered.
        image: uint8 (H, W, 3), at its own size.
        logits: float32 (h, w, C), at the size at which the network saw the image.
        abstain: pixels whose confidence is below this stay void; None: all get a class.
    """

    name: str
    bundle: Bundle
    image: Image
    logits: Logits
    abstain: float | None = None

    @property
    def labels(self) -> LabelMap:
        """The class table."""
        return self.bundle.labels

    @cached_property
    def mask(self) -> Mask:
        """Train ids uint8 (H, W), and `VOID` where the network abstains."""
        if self.abstain is None:
            return self._classes
        return np.where(self.confidence < self.abstain, np.uint8(VOID), self._classes)

    @cached_property
    def probabilities(self) -> Probabilities:
        """Probabilities float32 (H, W, C), by the bundle's temperature where there is one."""
        height, width = self.image.shape[:2]
        fitted = self.bundle.temperature
        whole = resized(self.logits, height=height, width=width)
        return softmax(whole, temperature=1.0 if fitted is None else fitted.temperature)

    @cached_property
    def confidence(self) -> Confidence:
        """Probability of the predicted class, float32 (H, W)."""
        chosen = np.take_along_axis(self.probabilities, self._classes[..., None].astype(np.int64), axis=-1)
        return np.asarray(chosen[..., 0])

    @cached_property
    def _classes(self) -> Mask:
        """Train ids uint8 (H, W) of all pixels."""
        height, width = self.image.shape[:2]
        return mask_of(self.logits, height=height, width=width, threshold=self.bundle.threshold)
