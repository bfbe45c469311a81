"""Configure the backend of Keras: determinism, threads, precision, and several devices for each batch.

No other module of training imports TensorFlow. It is needed here because Keras has no portable interface to
op determinism, thread counts and communication between devices. Equal seed, thread count, instruction set and
package versions give equal weights, bit for bit. If several devices share each batch (`spread`), only the last
digits of the weights differ from those of one device.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras
import numpy as np

from segline.core.labels import VOID
from segline.errors import TrainingError

_BATCH_SHARING_BACKENDS = {"tensorflow", "jax"}
_OUT_OF_MEMORY_ERRORS = {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}  # Python, TensorFlow, PyTorch
# In messages of JAX, and of errors that wrap another error.
_OUT_OF_MEMORY_TEXTS = ("RESOURCE_EXHAUSTED", "OOM when allocating", "CUDA_ERROR_OUT_OF_MEMORY")


def make_deterministic(*, seed: int, threads: int) -> None:
    """Seed all random generators, forbid non-deterministic operations, and fix the number of CPU threads.

    Call it before any computation: the first operation fixes the thread count.

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
            found=f"it already runs with {f'{found} CPU threads' if found else 'its default number of CPU threads'}",
            expected=f"{threads} threads (training.threads)",
            remedy="start a new process, or call make_deterministic before anything else uses TensorFlow",
        ) from error


def name() -> str:
    """Return the name of Keras's backend, such as ``tensorflow``."""
    return str(keras.backend.backend())


def describe_devices() -> list[str]:
    """Name the devices that the backend sees, such as ``CPU`` and ``GPU NVIDIA H200``, without using one."""
    if keras.backend.backend() != "tensorflow":
        return [str(device) for device in keras.distribution.list_devices()]
    import tensorflow

    config = tensorflow.config
    found = config.list_physical_devices()  # logical ones would start the devices, and fix the number of threads
    models = [config.experimental.get_device_details(device).get("device_name", "") for device in found]
    return [f"{device.device_type} {model}".strip() for device, model in zip(found, models, strict=True)]


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Build layers that compute in Keras's dtype `policy`; weights stay float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def jit_compile(wanted: bool | None = None) -> bool | str:
    """Choose Keras's ``jit_compile``: `wanted` if given, else XLA if it is faster.

    On a CPU XLA does not make TensorFlow faster (benchmarks/README.md). JAX is slow without it.
    """
    if wanted is not None:
        return wanted
    return "auto" if _list_gpus() or keras.backend.backend() != "tensorflow" else False


def list_accelerators(batch: int) -> list[str]:
    """List the GPUs that may share batches of `batch`: as many as divide it evenly; none without GPUs."""
    found = _list_gpus()
    count = max((number for number in range(1, len(found) + 1) if batch % number == 0), default=0)
    return found[:count]


def _list_gpus() -> list[str]:
    """List the names of the GPUs; none if Keras cannot share a batch among devices."""
    if keras.backend.backend() not in _BATCH_SHARING_BACKENDS:
        return []
    return [name for name in keras.distribution.list_devices() if name.startswith("gpu")]


@contextmanager
def spread(devices: Sequence[str]) -> Iterator[None]:
    """Share every batch among `devices`, for models built and trained in the block; do nothing for fewer than two."""
    if len(devices) < 2:
        yield
    elif keras.backend.backend() == "tensorflow":
        with _make_strategy(tuple(devices)).scope():
            yield
    else:
        with keras.distribution.DataParallel(devices=list(devices), auto_shard_dataset=False).scope():
            yield


@cache
def _make_strategy(devices: tuple[str, ...]) -> Any:
    """Make one strategy for all fits of the process: a second one would reuse the message numbers of the first."""
    import tensorflow

    return tensorflow.distribute.MirroredStrategy(list(devices))


def test_on_batch(model: keras.Model, images: Any, masks: Any, *, devices: int) -> dict[str, float]:
    """Call Keras's `test_on_batch` with the batch divided among `devices`; Keras would give all of it to each device.

    The batch is padded to a multiple of `devices` with images that are all void, which change no loss and no count.
    """
    if devices > 1:
        missing = -len(images) % devices
        images = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)])
        masks = np.pad(masks, [(0, missing), (0, 0), (0, 0)], constant_values=VOID)
    if devices < 2 or keras.backend.backend() != "tensorflow":
        found: dict[str, float] = model.test_on_batch(images, masks, return_dict=True)
        return found
    model.make_test_function()
    model.reset_metrics()
    logs = model.test_function(iter([(_split(images, devices), _split(masks, devices))]))
    return {name: float(value) for name, value in logs.items()}


def _split(batch: Any, devices: int) -> Any:
    """Give each device its part of the batch, as TensorFlow's distributed values."""
    import tensorflow

    parts = np.split(batch, devices)
    return tensorflow.distribute.get_strategy().experimental_distribute_values_from_function(
        lambda context: tensorflow.constant(parts[context.replica_id_in_sync_group])
    )


def sum_over_devices(tensors: list[Any]) -> list[Any]:
    """Sum each tensor over the devices that share a batch, inside a training step; None stays None.

    With one device, and on JAX, where a step sees the whole batch, the tensors are returned unchanged.
    """
    replica = _get_replica()
    if replica is None:
        return tensors
    sums = iter(replica.all_reduce("SUM", [tensor for tensor in tensors if tensor is not None]))
    return [None if tensor is None else next(sums) for tensor in tensors]


def divide_among_devices(loss: Any) -> Any:
    """Divide the `loss` of a whole batch by the number of devices that share it, inside a training step.

    Keras divides losses that have one value for each sample. It does not divide a loss that is one number,
    and then adds up the gradients of all devices.
    """
    replica = _get_replica()
    return loss if replica is None else loss / replica.num_replicas_in_sync


def gather(tensor: Any) -> Any:
    """Gather the whole batch, inside a training step of one of the devices that share it."""
    replica = _get_replica()
    return tensor if replica is None else replica.all_gather(tensor, axis=0)


def _get_replica() -> Any:
    """Return TensorFlow's context of one of several devices in a step; None elsewhere."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow

    replica = tensorflow.distribute.get_replica_context()
    return replica if replica is not None and replica.num_replicas_in_sync > 1 else None


def synchronise(model: keras.Model, *, devices: int) -> None:
    """Compute batch normalisation over the whole of a shared batch; by default each device uses its own part."""
    if keras.backend.backend() != "tensorflow":
        return
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = devices > 1


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether `error` means, on any backend, that memory ran out."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & _OUT_OF_MEMORY_ERRORS) or any(text in str(error) for text in _OUT_OF_MEMORY_TEXTS)
