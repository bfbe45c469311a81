"""Deep supervision: the loss is computed for every head of a network, metrics only for the first head.

Lee et al. 2015 (arXiv:1409.5185), with weights that halve from head to head (nnU-Net, Isensee et al.
2021). The mask of a coarser head is the whole mask, down-sampled by nearest neighbour (every second, fourth ..
pixel).
"""

from typing import Any

import keras

_PROBE_SIDE = 256  # pixels; a multiple of every network's stride


class Supervised(keras.Model):
    """A network with several outputs, the most important first."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        shapes = self.compute_output_shape((1, _PROBE_SIDE, _PROBE_SIDE, 3))
        self._steps = [_PROBE_SIDE // shape[1] for shape in shapes]
        whole = sum(0.5**place for place in range(len(shapes)))
        self._weights = [0.5**place / whole for place in range(len(shapes))]

    def compute_loss(
        self,
        x: Any = None,  # noqa: ARG002
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,  # noqa: ARG002
        training: bool = True,  # noqa: ARG002
    ) -> Any:
        """Compute the weighted sum of the compiled losses of all heads."""
        losses = [
            self.loss(y[:, step // 2 :: step, step // 2 :: step], head)
            for step, head in zip(self._steps, y_pred, strict=True)
        ]
        return sum(weight * loss for weight, loss in zip(self._weights, losses, strict=True))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Compute the compiled metrics of the first head."""
        return super().compute_metrics(x, y, y_pred[0], sample_weight)


def supervise(model: keras.Model) -> keras.Model:
    """Return a model of the same layers that trains all of its heads."""
    if len(model.outputs) == 1:
        return model
    return Supervised(model.inputs, model.outputs, name=model.name)
