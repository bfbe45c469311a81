"""The Python API: a model that answers images."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segline.errors import DataError
from segline.pipeline.choose_model import chosen_model

if TYPE_CHECKING:
    from segline.core.labels import Image, LabelMap, Mask
    from segline.core.metrics.temperature import Probabilities
    from segline.inference.answer import Answer, Confidence
    from segline.inference.bundle import Bundle


@dataclass(frozen=True)
class Model:
    """A model that answers images; `segline.load` makes one.

    An image is an array with values 0..255: (H, W, 3) RGB, (H, W) grey, or (H, W, 4) RGB and alpha, which is dropped.
    Or it is the path of an image file, which is read in the view that people see.
    """

    bundle: "Bundle"

    @property
    def labels(self) -> "LabelMap":
        """The class table: names, the dataset's ids, colours."""
        return self.bundle.labels

    def predict(self, image: "Image | str | Path") -> "Mask":
        """Return the dataset's ids, uint8 (H, W), as `segline predict` writes them.

        Raises:
            DataError: the array is no image, or the file cannot be read.
        """
        return self.labels.decode(self._answer(image).mask)

    def overlay(self, image: "Image | str | Path", *, opacity: float = 0.5, legend: bool = False) -> "Image":
        """Return the image tinted with the classes' colours, uint8 (H, W, 3); with a legend, it is wider."""
        from segline.inference import overlay

        answer = self._answer(image)
        tinted = overlay.overlay(answer.image, answer.mask, self.labels, opacity=opacity)
        return overlay.with_legend(tinted, overlay.present(answer.mask), self.labels) if legend else tinted

    def probabilities(self, image: "Image | str | Path") -> "Probabilities":
        """Return the probabilities of all classes, float32 (H, W, C), in the order of `labels.names`."""
        return self._answer(image).probabilities

    def confidence(self, image: "Image | str | Path") -> "Confidence":
        """Return the probability of each pixel's predicted class, float32 (H, W)."""
        return self._answer(image).confidence

    def _answer(self, image: "Image | str | Path") -> "Answer":
        from segline.data.images.scale import scale_image
        from segline.inference.answer import Answer
        from segline.inference.predict import logits_of

        pixels = self._read(image)
        scaled = scale_image(pixels, short_side=self.bundle.short_side)
        return Answer(name="image", bundle=self.bundle, image=pixels, logits=logits_of(self.bundle, scaled))

    def _read(self, image: "Image | str | Path") -> "Image":
        from segline.inference.photos import read_photo
        from segline.inference.request import read_request

        if isinstance(image, str | Path):
            return read_photo(Path(image), levels=self.bundle.levels).pixels
        request = read_request(image, levels=self.bundle.levels)
        if not request.single:
            raise DataError(
                "image",
                found=f"a batch of {len(request.images)} images",
                expected="one image",
                remedy="give one image after the other",
            )
        return request.images[0]


def load(model: str | Path) -> Model:
    """Load a model; see `segline.load`."""
    from segline.inference import bundle

    with chosen_model(str(model)) as chosen:
        return Model(bundle.load(chosen.folder))
