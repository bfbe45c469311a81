"""``training``, ``search`` and ``classification``: how networks are fitted and chosen."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, create_model, model_validator
from pydantic_core import PydanticCustomError

from segline.config.fields import (
    Depth,
    EncoderName,
    Flip,
    NetworkName,
    Offered,
    Positive,
    Rate,
    Share,
    Side,
    Strict,
    Stride,
    Weight,
    as_threshold,
    ascending,
    sequence,
)
from segline.config.known_names import CLASSIFICATION, IMAGENET, network_options
from segline.config.objective import DecayName, OptimizerName, loss_terms


def _make_loss_fields() -> dict[str, Any]:
    """Make a field for the weight of each term of the loss, and one for each number that a term has of its own."""
    rows = loss_terms()
    weights: dict[str, Any] = {name: (Weight, row.get("weight", 0.0)) for name, row in rows.items()}
    options = (item for row in rows.values() for item in row.get("options", {}).items())
    return weights | {name: (float, Field(**limits)) for name, limits in options}


_LossTerms: Any = create_model("_LossTerms", __base__=Strict, **_make_loss_fields())


class Loss(_LossTerms):
    """The loss: a sum of terms, each multiplied by the weight given here.

    The terms, and their own numbers such as `focal_gamma`, are the rows of `training.objective.losses.TERMS`.
    """

    class_weights: Literal["equal", "balanced"] = "equal"
    """Whether rare classes weigh more in the cross-entropies."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any(getattr(self, name) for name in loss_terms()):
            raise PydanticCustomError("no_loss", "at least one term above 0", {})
        return self


class Augmentation(Strict):
    """What happens to an image before training sees it, all of it at the prepared scale (`data.batches.augment`)."""

    kind: Literal["scaled", "sized", "none"] = "scaled"
    """``scaled``: flips, random scales, crops and, as strongly as the search draws, turns and colours;
    ``sized``: flips and, for part of the images, a crop of a random size, resized; ``none``: its middle."""
    heights: Annotated[tuple[Positive, Positive], BeforeValidator(sequence), AfterValidator(ascending)] | None = None
    """Of ``sized``: least and greatest height of such a crop, pixels; its aspect is that of `Training.crop`."""
    probability: Share = 0.5
    """Of ``sized``: share of the images that get one; of the others comes a crop that is not resized."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind == "sized") != (self.heights is not None):
            raise PydanticCustomError("heights", "`heights` with kind sized, and with no other", {})
        return self


class Training(Strict):
    """How one network is fitted.

    What ``params.yaml`` must say unless a plan says it has a value here all the same: it stands in until
    the plan is made (`Params.planned`).
    """

    plan: Literal["auto"] | None = None
    """``auto``: what is not given is derived from the dataset's fingerprint (`training.plan`)."""
    memory: Annotated[float, Field(gt=0.0)] | None = None
    """What a fit may take, GiB: the budget that a plan keeps to, whatever machine it is made on."""
    images: Positive | None = None
    """Crops that the final fit sees, all epochs together: the amount of training that a plan spreads."""
    crop: Annotated[tuple[Side, Side], BeforeValidator(sequence)] = (128, 128)
    """Height and width of the crops the network trains on, pixels."""
    batch: Positive = 8
    validation_batch: Positive | None = None
    """Whole images validated at a time; none for as many as `batch`."""
    rare: Share = 0.0
    """Share of the crops that are centred on a rare class."""
    flips: Annotated[tuple[Flip, ...], BeforeValidator(sequence)] | None = None
    """Mirror images that crops may become; none for left-right where the dataset says it is one more image."""
    steps: Annotated[int, Field(ge=0)] = 100
    """Batches that make one epoch: a count, so that epochs are alike whatever the data; 0: one pass over them."""
    epochs: Positive = 30
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    warm_up: Share = 0.1
    """Share of all steps in which the learning rate rises to its peak."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    loss: Loss = Loss()
    optimizer: OptimizerName = "adamw"
    """``sgd`` is with Nesterov's momentum."""
    schedule: DecayName = "polynomial"
    """How the learning rate falls after the warm-up."""
    clip: Annotated[float, Field(gt=0.0)] | None = None
    """Gradients of a larger norm, over all weights, are scaled down to it."""
    ema: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Momentum of the weights' moving average, which is validated and kept instead of the weights; the first steps
    have a lower one (`training.objective.optimizers`)."""
    patience: Positive | None = None
    """Epochs without a better validation after which the fit ends early."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    threshold: Annotated[Literal["validation"] | float, BeforeValidator(as_threshold)] = "validation"
    """Of a binary task: the foreground's probability above which a pixel is foreground, or the best on validation."""
    mirrors: Literal["validation"] | bool = False
    """Whether predictions average the answers to an image and to its mirror images, those of `flips`, which takes
    twice the time for each flip; `validation`: where that scores better there."""
    augmentation: Augmentation = Augmentation()
    threads: Positive
    """CPU threads of the arithmetic: pinned, because another count gives other last digits."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.rare and self.augmentation.kind == "none":
            raise PydanticCustomError("rare", "`rare` 0 where the augmentation is none: crops are not drawn", {})
        return self

    def over(self, samples: int) -> "Training":
        """The same, with the steps of one pass over so many `samples` where it asks for that."""
        return self if self.steps else self.model_copy(update={"steps": -(-samples // self.batch)})


class Search(Strict):
    """What Keras Tuner may choose from; its values here stand in for a plan's, as those of `Training` do."""

    trials: Positive = 4
    epochs: Positive = 3
    networks: Offered[NetworkName] = ("unet",)
    width: Offered[Positive] = (16,)
    depth: Offered[Depth] = (4,)
    """Of networks that have one; ``deeplab_v3_plus`` halves as `output_stride` says."""
    learning_rate: Annotated[tuple[Rate, Rate], BeforeValidator(sequence), AfterValidator(ascending)] = (1e-3, 1e-2)
    augmentation: Annotated[tuple[Share, Share], BeforeValidator(sequence), AfterValidator(ascending)] = (0.0, 0.7)
    """Range of the augmentation strength: 0 leaves flips and crops, 1 is strong."""
    encoders: Offered[EncoderName] = ("mobilenet_v2",)
    """For networks that begin with one; so are the choices below for networks that have them."""
    output_stride: Offered[Stride] = (16,)
    batch_norm: Offered[bool] = (True,)
    penultimate: Offered[Positive | None] = (None,)
    residual: Offered[bool] = (False,)
    separable: Offered[bool] = (False,)
    skips: Offered[bool] = (False,)
    heads: Offered[Positive] = (1,)
    weights: Annotated[str, Field(min_length=1)] | None = None
    """First weights of the encoders: ``imagenet``, ``classification`` (trained before the search on what the
    data say of whole images), a file that such a training wrote, or none."""
    freeze: bool = False
    """Leave the encoders as their first weights made them."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.freeze and self.weights is None:
            raise PydanticCustomError("freeze", "`search.weights` beside `search.freeze`: drawn ones know nothing", {})
        if self.weights not in (None, IMAGENET, CLASSIFICATION) and len(self.encoders) > 1:
            raise PydanticCustomError("one_encoder", "one of `search.encoders` where `search.weights` is a file", {})
        if max(self.heads) > min(self.depth):
            raise PydanticCustomError("heads", "at most as many of `search.heads` as the least of `search.depth`", {})
        return self

    @property
    def offered(self) -> dict[str, tuple[Any, ...]]:
        """Fields of `ModelConfig` that only some networks have -> the values to choose from."""
        same = ("output_stride", "batch_norm", "penultimate", "residual", "separable", "skips", "heads")
        return {"encoder": self.encoders, **{name: getattr(self, name) for name in same}}

    @property
    def has_depth(self) -> bool:
        """Whether `depth` is given, and a network that may be chosen has one.

        Where networks are left to a plan, it takes those that first weights are for, which have none.
        """
        given = self.model_fields_set
        networks = self.networks if "networks" in given or self.weights is None else ()
        return "depth" in given and any("depth" in network_options(network) for network in networks)

    @property
    def weights_file(self) -> str | None:
        """The file that `weights` names, if it names one."""
        return None if self.weights in (None, IMAGENET, CLASSIFICATION) else self.weights


class Classification(Strict):
    """The training of an encoder on whole images, where ``search.weights`` asks for it; all else is `Training`'s."""

    task: str | None = None
    """What the images are told apart by: one of the dataset's, such as breed; its own if not given."""
    epochs: Positive = 30
    learning_rate: Rate = 0.001
    augmentation: Share = 0.5
    """Augmentation strength."""
