"""``training``, ``search`` and ``classification``: how networks are fitted and chosen."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, create_model, model_validator
from pydantic_core import PydanticCustomError

from segline.config.fields import (
    DecoderName,
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
from segline.config.known_names import AUTO, CLASSIFICATION, IMAGENET, network_options
from segline.config.objective import DecayName, OptimizerName, loss_terms


def _make_loss_fields() -> dict[str, Any]:
    """Make one field for the weight of each term of the loss, and one for each parameter of a term."""
    rows = loss_terms()
    weights: dict[str, Any] = {name: (Weight, row.get("weight", 0.0)) for name, row in rows.items()}
    options = (item for row in rows.values() for item in row.get("options", {}).items())
    return weights | {name: (float, Field(**limits)) for name, limits in options}


_LossTerms: Any = create_model("_LossTerms", __base__=Strict, **_make_loss_fields())


class Loss(_LossTerms):
    """The loss: a sum of terms, each multiplied by the weight given here.

    `training.objective.losses.TERMS` lists the terms and their parameters (`focal_gamma`, `hard_share`).
    """

    class_weights: Literal["equal", "balanced"] = "equal"
    """``balanced``: rare classes get a larger weight in the cross-entropies."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any(getattr(self, name) for name in loss_terms()):
            raise PydanticCustomError("no_loss", "at least one term above 0", {})
        return self


class Augmentation(Strict):
    """Random changes to training images, at their prepared size (`data.batches.augment`)."""

    kind: Literal["scaled", "sized", "none"] = "scaled"
    """``scaled``: flips, random scales, crops, rotations and colour changes; the search draws the strength of the last
    two. ``sized``: flips, and for some images a crop of random size that is resized. ``none``: the centre crop."""
    heights: Annotated[tuple[Positive, Positive], BeforeValidator(sequence), AfterValidator(ascending)] | None = None
    """``sized`` only: range of the heights of resized crops, pixels. They have the aspect ratio of `Training.crop`."""
    probability: Share = 0.5
    """``sized`` only: share of the images with a resized crop; the others get a crop that is not resized."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind == "sized") != (self.heights is not None):
            raise PydanticCustomError("heights", "`heights` if the kind is sized, and only then", {})
        return self


DEFAULT_MEMORY = 4.0
"""GiB that a fit may use, where ``training.memory`` is not given."""


class FineTuning(Strict):
    """How an encoder with initial weights is trained further. Without such weights nothing of this is done."""

    frozen_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs at the start in which only the rest of the network is trained, because the gradients of random weights
    would spoil the encoder; at most half of a fit. Then the learning rate rises again, for all weights."""
    norms: Literal["trained", "frozen"] = "trained"
    """``frozen``: the encoder's batch norms keep their statistics, scales and shifts."""


class Training(Strict):
    """How one network is trained.

    Keys that a plan derives have a default here too. It is a placeholder until the plan is made (`Params.planned`).
    """

    plan: Literal["auto"] | None = None
    """``auto``: keys that are not given are derived from the dataset's fingerprint (`training.plan`)."""
    memory: Annotated[float, Field(gt=0.0)] | None = None
    """Memory that a fit may use, GiB. A plan keeps to this budget on every machine."""
    images: Positive | None = None
    """Number of crops in the final fit, over all epochs. A plan divides them into epochs."""
    crop: Annotated[tuple[Side, Side], BeforeValidator(sequence)] = (128, 128)
    """Height and width of the crops that the network trains on, pixels."""
    batch: Positive = 8
    accumulate: Positive = 1
    """Number of equal parts of a batch whose gradients are computed one after the other, then averaged. It takes the
    memory of one part; batch norm and Dice see one part at a time."""
    validation_batch: Positive | None = None
    """Number of whole images in a validation batch; None: `batch`."""
    rare: Share = 0.0
    """Share of the crops that are centred on a rare class."""
    flips: Annotated[tuple[Flip, ...], BeforeValidator(sequence)] | None = None
    """Flips of training crops; None: left-right, if the dataset's definition says that it gives plausible images."""
    steps: Annotated[int, Field(ge=0)] = 100
    """Batches in an epoch, the same for every amount of data; 0: as many as one pass over the data needs."""
    epochs: Positive = 30
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    warm_up: Share = 0.1
    """Share of all steps during which the learning rate rises to its maximum."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    loss: Loss = Loss()
    optimizer: OptimizerName = "adamw"
    """``sgd`` uses Nesterov momentum."""
    schedule: DecayName = "polynomial"
    """How the learning rate falls after the warm-up."""
    clip: Annotated[float, Field(gt=0.0)] | None = None
    """Largest norm of the gradients of all weights together; larger gradients are scaled down to it."""
    ema: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Momentum of a moving average of the weights, which is validated and saved instead of the weights. The first
    steps have a lower momentum (`training.objective.optimizers`)."""
    patience: Positive | None = None
    """The fit ends after this many epochs without a better validation score."""
    fine_tuning: FineTuning = FineTuning()
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    threshold: Annotated[Literal["validation"] | float, BeforeValidator(as_threshold)] = "validation"
    """Binary tasks only: a pixel is foreground above this probability; ``validation``: the best one on validation."""
    mirrors: Literal["validation"] | bool = False
    """Average the predictions of an image and of its `flips`. Each flip doubles the time. ``validation``: only if
    it scores better on validation."""
    augmentation: Augmentation = Augmentation()
    threads: Positive
    """CPU threads of the arithmetic. It is fixed because another number changes the last digits of results."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.rare and self.augmentation.kind == "none":
            raise PydanticCustomError("rare", "`rare` 0, because without augmentation no crops are drawn", {})
        if self.batch % self.accumulate:
            raise PydanticCustomError(
                "accumulate", "`accumulate` to divide `batch` {batch} into equal parts", {"batch": self.batch}
            )
        if self.accumulate > 1 and self.precision == "mixed_float16":
            raise PydanticCustomError(
                "accumulate", "`accumulate` 1, or another precision: float16 leaves out parts that overflow", {}
            )
        return self

    def over(self, samples: int) -> "Training":
        """If `steps` is 0, replace it by the number of steps in one pass over `samples` samples."""
        return self if self.steps else self.model_copy(update={"steps": -(-samples // self.batch)})


class Search(Strict):
    """The choices of Keras Tuner. Keys that a plan derives have placeholders, as in `Training`."""

    trials: Positive = 4
    epochs: Positive = 3
    """Epochs of each trial; with `halving`, of the trials that are trained longest."""
    halving: Annotated[int, Field(ge=2)] | None = None
    """Successive halving: all trials are trained for a part of `epochs`. The best one in so many of them goes on, for
    so many times the epochs. The first trials have different compositions of network, encoder and decoder. None: all
    trials are trained for `epochs`."""
    networks: Offered[NetworkName] = ("unet",)
    width: Offered[Positive] = (16,)
    depth: Offered[Depth] = (4,)
    """For networks that have a depth; ``deeplab_v3_plus`` has `output_stride` instead."""
    learning_rate: Annotated[tuple[Rate, Rate], BeforeValidator(sequence), AfterValidator(ascending)] = (1e-3, 1e-2)
    augmentation: Annotated[tuple[Share, Share], BeforeValidator(sequence), AfterValidator(ascending)] = (0.0, 0.7)
    """Range of the augmentation strength: 0 means flips and crops only, 1 is strong."""
    encoders: Offered[EncoderName] = ("mobilenet_v2",)
    """For networks that have an encoder. Each of the following lists is only for networks that have that field."""
    decoders: Offered[DecoderName] = ("unet",)
    output_stride: Offered[Stride] = (16,)
    batch_norm: Offered[bool] = (True,)
    penultimate: Offered[Positive | None] = (None,)
    residual: Offered[bool] = (False,)
    separable: Offered[bool] = (False,)
    skips: Offered[bool] = (False,)
    heads: Offered[Positive] = (1,)
    weights: Annotated[str, Field(min_length=1)] | None = None
    """Initial weights of the encoders: ``auto`` (published ones that are here: `segline weights list`); ``imagenet``
    (published ones, fetched if necessary); ``classification`` (trained before the search on the dataset's labels of
    whole images); a file that Segline wrote; or None for random ones."""
    freeze: bool = False
    """Do not train the encoders: keep their initial weights."""
    encoder_rate: Offered[Rate] = (1.0,)
    """Learning rate of the encoder, divided by that of the rest of the network."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.freeze and self.weights is None:
            raise PydanticCustomError(
                "freeze", "`search.weights` with `search.freeze`: frozen random weights learn nothing", {}
            )
        if self.weights_file is not None and len(self.encoders) > 1:
            raise PydanticCustomError(
                "one_encoder", "only one of `search.encoders`, because `search.weights` is a file", {}
            )
        if max(self.heads) > min(self.depth):
            raise PydanticCustomError("heads", "no value of `search.heads` above the lowest of `search.depth`", {})
        return self

    @property
    def offered(self) -> dict[str, tuple[Any, ...]]:
        """The choices of each field of `ModelConfig` that only some networks have: name -> choices."""
        same = ("output_stride", "batch_norm", "penultimate", "residual", "separable", "skips", "heads", "encoder_rate")
        return {"encoder": self.encoders, "decoder": self.decoders, **{name: getattr(self, name) for name in same}}

    @property
    def has_depth(self) -> bool:
        """True if `depth` is given, and one of the networks to choose from has a depth.

        If initial weights are given, but no networks, the plan chooses networks without a depth.
        """
        given = self.model_fields_set
        networks = self.networks if "networks" in given or self.weights is None else ()
        return "depth" in given and any("depth" in network_options(network) for network in networks)

    @property
    def has_encoder(self) -> bool:
        """True if one of the networks to choose from begins with an encoder."""
        return any("encoder" in network_options(network) for network in self.networks)

    @property
    def weights_file(self) -> str | None:
        """The file that `weights` names, or None."""
        return None if self.weights in (None, AUTO, IMAGENET, CLASSIFICATION) else self.weights


class Classification(Strict):
    """The training of an encoder on whole images, if ``search.weights`` asks for it. The rest is as in `Training`."""

    task: str | None = None
    """One of the dataset's classification tasks, such as breed; None for its default."""
    epochs: Positive = 30
    learning_rate: Rate = 0.001
    augmentation: Share = 0.5
    """Augmentation strength."""
