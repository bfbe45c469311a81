"""Settings of the arithmetic that a result depends on.

The one place of training where TensorFlow is imported: Keras has no portable name for op
determinism and thread counts. Equal seed, thread count, instruction set and package versions give
equal weights, bit for bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from segline.errors import TrainingError


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


def jit_compile() -> bool | str:
    """Keras's ``jit_compile``: XLA halves the speed of convolutions on a CPU, and is worth it on a GPU."""
    return "auto" if keras.distribution.list_devices("gpu") else False
