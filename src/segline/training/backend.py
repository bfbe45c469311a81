"""Settings of the arithmetic that a result depends on, and the devices that do it.

The one place of training where TensorFlow is imported: Keras has no portable name for op
determinism, thread counts and what devices say to each other. Equal seed, thread count, instruction
set and package versions give equal weights, bit for bit. Several devices that share each batch
(`spread`) give those of one device to the last digits.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras
import numpy as np

from segline.core.labels import VOID
from segline.errors import TrainingError

_SHARING = {"tensorflow", "jax"}  # backends on which Keras shares a batch among devices
_NO_MEMORY = {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}  # Python, TensorFlow, PyTorch
_NO_MEMORY_TEXTS = ("RESOURCE_EXHAUSTED", "OOM when allocating", "CUDA_ERROR_OUT_OF_MEMORY")  # JAX, and wrapped ones


def make_deterministic(*, seed: int, threads: int) -> None:
    """Seed everything, forbid what is not repeatable, and pin the CPU threads.

    Call it before anything computes: the thread count is fixed by the first operation.

    Raises:
        TrainingError: this process already computes with another number of threads.
    """
    if keras.backend.backend() == "tensorflow":
        _pin_tensorflow(threads)
    keras.utils.set_random_seed(seed)


def _pin_tensorflow(threads: int) -> None:
    import tensorflow

    threading = tensorflow.config.threading
    tensorflow.config.experimental.enable_op_determinism()
    try:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        found = threading.get_intra_op_parallelism_threads()
        raise TrainingError(
            "TensorFlow",
            found=f"it already runs on {found or 'as many CPU threads as it likes'}",
            expected=f"{threads} threads (training.threads)",
            remedy="start a new process, or call make_deterministic before anything else uses TensorFlow",
        ) from error


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers made inside compute in `policy`, one of Keras's; weights stay float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def jit_compile(wanted: bool | None = None) -> bool | str:
    """Keras's ``jit_compile``: `wanted`, or XLA where it is worth it.

    On a CPU it brings TensorFlow nothing (benchmarks/README.md). JAX is nothing without it.
    """
    if wanted is not None:
        return wanted
    return "auto" if _gpus() or keras.backend.backend() != "tensorflow" else False


def accelerators(batch: int) -> list[str]:
    """Names of the GPUs that may share batches of `batch`: as many as divide it evenly; none without GPUs."""
    found = _gpus()
    count = max((number for number in range(1, len(found) + 1) if batch % number == 0), default=0)
    return found[:count]


def _gpus() -> list[str]:
    """Their names; none where Keras cannot tell, or cannot share a batch among them."""
    if keras.backend.backend() not in _SHARING:
        return []
    return [name for name in keras.distribution.list_devices() if name.startswith("gpu")]


@contextmanager
def spread(devices: Sequence[str]) -> Iterator[None]:
    """Models that are built and trained inside share every batch among `devices`; fewer than two change nothing."""
    if len(devices) < 2:
        yield
    elif keras.backend.backend() == "tensorflow":
        with _mirrored(tuple(devices)).scope():
            yield
    else:
        with keras.distribution.DataParallel(devices=list(devices), auto_shard_dataset=False).scope():
            yield


@cache
def _mirrored(devices: tuple[str, ...]) -> Any:
    """One strategy for all fits of the process: a second one would number its messages anew, and confuse TensorFlow."""
    import tensorflow

    return tensorflow.distribute.MirroredStrategy(list(devices))


def test_on_batch(model: keras.Model, images: Any, masks: Any, *, devices: int) -> dict[str, float]:
    """Keras's method of that name, with the batch shared among `devices`, where its own gives all of it to each.

    Images of void alone fill it up to a multiple of `devices`: they change no loss and no count.
    """
    if devices > 1:
        lacking = -len(images) % devices
        images = np.pad(images, [(0, lacking), (0, 0), (0, 0), (0, 0)])
        masks = np.pad(masks, [(0, lacking), (0, 0), (0, 0)], constant_values=VOID)
    if devices < 2 or keras.backend.backend() != "tensorflow":
        found: dict[str, float] = model.test_on_batch(images, masks, return_dict=True)
        return found
    model.make_test_function()
    model.reset_metrics()
    logs = model.test_function(iter([(_parts(images, devices), _parts(masks, devices))]))
    return {name: float(value) for name, value in logs.items()}


def _parts(batch: Any, devices: int) -> Any:
    import tensorflow

    parts = np.split(batch, devices)
    return tensorflow.distribute.get_strategy().experimental_distribute_values_from_function(
        lambda context: tensorflow.constant(parts[context.replica_id_in_sync_group])
    )


def summed(tensors: list[Any]) -> list[Any]:
    """The sum of each over the devices that share a batch, from inside a training step; None stays.

    Where there is one device, and on JAX, where a step sees the whole batch, they are the tensors themselves.
    """
    replica = _replica()
    if replica is None:
        return tensors
    sums = iter(replica.all_reduce("SUM", [tensor for tensor in tensors if tensor is not None]))
    return [None if tensor is None else next(sums) for tensor in tensors]


def share_of(loss: Any) -> Any:
    """What one of the devices that share a batch adds to a `loss` of all of it, from inside a training step.

    Keras does that for losses of samples; it takes a loss that is one number for what it is, and then
    adds up as many gradients as there are devices.
    """
    replica = _replica()
    return loss if replica is None else loss / replica.num_replicas_in_sync


def gathered(tensor: Any) -> Any:
    """The whole batch, from inside a training step of one of the devices that share it."""
    replica = _replica()
    return tensor if replica is None else replica.all_gather(tensor, axis=0)


def _replica() -> Any:
    """TensorFlow's context of one of several devices in a step; None elsewhere."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow

    replica = tensorflow.distribute.get_replica_context()
    return replica if replica is not None and replica.num_replicas_in_sync > 1 else None


def synchronise(model: keras.Model, *, devices: int) -> None:
    """Let batch normalisation see the whole of a shared batch; by default each device sees its own share."""
    if keras.backend.backend() != "tensorflow":
        return
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = devices > 1


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says, in any backend's words, that memory ran out."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & _NO_MEMORY) or any(text in str(error) for text in _NO_MEMORY_TEXTS)
