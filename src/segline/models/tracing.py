"""What TensorFlow may do to a network once it is traced; other backends are left alone."""

import keras


def keep_shapes_open() -> None:
    """Keep TensorFlow from folding constants in traced networks.

    TensorFlow 2.21 takes a dilated convolution as one of blocks, whose padding it computes from the
    image's size. Traced for images of one height and any width, the padding of some width is folded
    into the graph; the next image of another width then fails: "padded_shape[1]=21 is not divisible by
    block_shape[1]=6". Weights are variables, so that there is little else to fold.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.optimizer.set_experimental_options({"constant_folding": False})
