"""A SavedModel of six signatures, holding only TensorFlow's own ops and each weight once."""

import functools
import json

from keras_pretext.registry import unknown_name
from keras_pretext.serving import decoding, folding


def export(model, folder, image_size=None, tap=None, whitening=None, name=None,
           max_pixels=decoding.MAX_PIXELS, weights=None):
    """Writes the SavedModel of a PretextModel's backbone, in the model's own precision.

    Of a model built under `mixed_bfloat16` the batch norms are folded into the convolutions and the
    weights are constants of the graph, in bfloat16: no variables are beside it. In float32 the
    weights are variables, and the answers are the model's to rounding; with `weights` they lie in
    that file, among the assets, and nowhere else.

    Signatures:
        serving_default: `bytes`, strings `(batch,)`: encoded JPEG, PNG, GIF or BMP of any sizes
            together, grey and palette too; of each the central square, upright, resized
            (antialiased) to `image_size`: the same as resizing the short side and cropping. Gives
            what `images` gives, and `valid`, bool `(batch,)`: what is no readable picture is
            False there, and its features are zero.
        images: `images`, uint8 `(batch, height, width, 3)` of any size, taken as it is. Gives all
            taps, averaged over their maps, float32 `(batch, channels)`.
        features: as `images`, but the maps, float32 `(batch, height, width, channels)`.
        embedding: `bytes` as above. Gives `embedding`, float16 `(batch, width)`: one tap,
            averaged over its map, whitened if asked, of Euclidean norm one (zero where it is not
            `valid`); and `valid`.
        embedding_float32: the same as float32, for TF Serving's REST has no float16.
        metadata: `ask`, strings `(batch,)`, whatever they say. Gives `contract`, strings
            `(batch,)`: JSON of the taps, shapes, ranges and normalisation.

    Any batch may be empty.

    Args:
        model: a PretextModel, or what `zoo.load` gives.
        folder: to write; it must not hold another model.
        image_size: side in pixels for encoded pictures; the task's by default.
        tap: of the embedding; the last by default.
        whitening: `(mean, matrix)` as `whitening` gives them: an embedding is
            `(vector - mean) @ matrix` before it gets its norm. None: the vector itself.
        name: that the contract says; the backbone's by default.
        max_pixels: an encoded picture that claims more in its header is not valid.
        weights: an `.npz` of `zoo.weights.save` with the weights of `model`; of float32 models.

    Returns:
        what `metadata` says, a dict.

    Raises:
        ValueError: for an unknown tap, a whitening of another width, or `weights` of a model in
            bfloat16.
    """
    import tensorflow as tf

    from keras_pretext.image.framing import checked_side

    backbone = model.backbone
    size = model.task.image_size if image_size is None else checked_side(image_size)
    tap = tap or [*backbone.taps][-1]
    if tap not in backbone.taps:
        raise ValueError(unknown_name(f"tap of {backbone.name}", tap, backbone.taps))
    whitening = _checked(whitening, backbone.taps[tap])
    contract = _contract(model, size, tap, whitening, name, max_pixels)
    small = contract["computed_in"] == "bfloat16"
    if weights is not None and small:
        raise ValueError("weights are given for a model that computes in float32. "
                         "Received: one in bfloat16")
    unpacked = None if weights is None else _unpacked(model, weights)
    if small:
        network = folding.constant(folding.folded(backbone))
    elif unpacked:
        network = _of_tensors(backbone, unpacked)
    else:
        network = functools.partial(backbone, training=False)
    strings = tf.TensorSpec((None,), tf.string, "bytes")
    arrays = tf.TensorSpec((None, None, None, 3), tf.uint8, "images")

    class Served(tf.Module):
        def __init__(self):
            super().__init__()
            self.unpacked = unpacked
            self.weights = [] if small or unpacked else [w.value for w in backbone.weights]

        @tf.function(input_signature=[arrays])  # the network once, for all signatures
        def maps(self, images):
            count = tf.shape(images)[0]
            out = network(_some(tf, images, size))
            return {tap: tf.cast(out[tap][:count], tf.float32) for tap in backbone.taps}

        def vectors(self, images):
            return {tap: tf.reduce_mean(x, (1, 2)) for tap, x in self.maps(images).items()}

        def embedded(self, encoded):
            images, valid = decoding.squares(encoded, size, max_pixels)
            out = tf.reduce_mean(self.maps(images)[tap], (1, 2))
            if whitening is not None:
                out = (out - whitening[0]) @ whitening[1]
            return _only(tf, valid, tf.math.l2_normalize(out, -1)), valid

        @tf.function(input_signature=[strings])
        def from_bytes(self, bytes):  # noqa: A002
            images, valid = decoding.squares(bytes, size, max_pixels)
            vectors = {tap: _only(tf, valid, x) for tap, x in self.vectors(images).items()}
            return {**vectors, "valid": valid}

        @tf.function(input_signature=[arrays])
        def from_images(self, images):
            return self.vectors(images)

        @tf.function(input_signature=[arrays])
        def features(self, images):
            return self.maps(images)

        @tf.function(input_signature=[strings])
        def embedding(self, bytes):  # noqa: A002
            out, valid = self.embedded(bytes)
            return {"embedding": tf.cast(out, tf.float16), "valid": valid}

        @tf.function(input_signature=[strings])
        def embedding_float32(self, bytes):  # noqa: A002
            out, valid = self.embedded(bytes)
            return {"embedding": out, "valid": valid}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "ask")])
        def metadata(self, ask):
            return {"contract": tf.fill(tf.shape(ask), json.dumps(contract))}

    served = Served()
    # no stack traces in the graph: they name the folders of this host
    options = tf.saved_model.SaveOptions(experimental_debug_stripper=True)
    tf.saved_model.save(served, str(folder), options=options, signatures={
        "serving_default": served.from_bytes, "images": served.from_images,
        "features": served.features, "embedding": served.embedding,
        "embedding_float32": served.embedding_float32, "metadata": served.metadata})
    return contract


def _unpacked(model, path):
    """The backbone's weights, to be filled from an `.npz` of the whole model's."""
    from keras_pretext.serving.stored import Unpacked
    from keras_pretext.zoo.weights import names

    named = {id(w): name for w, name in zip(model.weights, names(model), strict=True)}
    return Unpacked(path, [named[id(w)] for w in model.backbone.weights])


def _of_tensors(backbone, unpacked):
    """A function from images to a backbone's taps, whose weights are what was unpacked."""
    import tensorflow as tf

    weights = {id(w) for w in backbone.weights}  # the state of a dropout is none
    others = {id(v): v.numpy() for v in backbone.variables if id(v) not in weights}

    def network(images):
        values = dict(zip(map(id, backbone.weights), unpacked.tensors(), strict=True))

        def of(group):
            return [values[id(v)] if id(v) in values else tf.constant(others[id(v)])
                    for v in group]

        return backbone.stateless_call(of(backbone.trainable_variables),
                                       of(backbone.non_trainable_variables), images,
                                       training=False)[0]

    return network


def whitening(vectors, dim):
    """Principal components of pooled features, each scaled to variance one, for `export`.

    Args:
        vectors: float `(n, channels)`: the tap of the embedding, of many pictures.
        dim: how many components, at most `channels`; those of rounding errors are zero.

    Returns:
        `mean` float32 `(channels,)` and `matrix` float32 `(channels, dim)`.

    Raises:
        ValueError: for another shape, values that are not finite, fewer vectors than components
            and one, or vectors that are all the same.
    """
    import numpy as np

    from keras_pretext.tasks import clustering

    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or not 1 <= dim <= min(vectors.shape[1], len(vectors) - 1):
        raise ValueError("whitening takes vectors (n, channels), and of components at least one, "
                         "at most channels and less than n. "
                         f"Received: {vectors.shape} and {dim} components")
    if not np.isfinite(vectors).all():
        raise ValueError("whitening takes finite vectors. Received: some that are not")
    return clustering.whitening(vectors, dim)


def _checked(whitening, tap):
    """`(mean, matrix)` as float32 arrays, or None."""
    import numpy as np

    if whitening is None:
        return None
    mean, matrix = (np.asarray(x, "float32") for x in whitening)
    if mean.shape != (tap.channels,) or matrix.ndim != 2 or len(matrix) != tap.channels:
        raise ValueError(f"whitening of tap {tap.name} is a mean ({tap.channels},) and a matrix "
                         f"({tap.channels}, dim). Received: {mean.shape} and {matrix.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(matrix).all()):
        raise ValueError("a whitening is finite. Received: one that is not")
    return mean, matrix


def _some(tf, images, size):
    """Images; where there are none, one black one: some CPU convolutions take no empty batch."""
    black = tf.zeros((1, size, size, 3), images.dtype)
    out = tf.cond(tf.shape(images)[0] > 0, lambda: images, lambda: black)
    return tf.ensure_shape(out, images.shape)


def _only(tf, valid, vectors):
    """Vectors `(batch, channels)`, zero where they are not valid."""
    return tf.where(valid[:, tf.newaxis], vectors, tf.zeros_like(vectors))


def _contract(model, size, tap, whitening, name, max_pixels):
    """What a client may rely on, as JSON takes it."""
    backbone = model.backbone
    taps = {t.name: {"channels": t.channels, "stride": t.stride, "dtype": "float32",
                     "least": 0 if _never_negative(backbone.output[t.name]) else None}
            for t in backbone.taps.values()}
    config = backbone.get_config()
    return {
        "name": name or backbone.name,
        "task": type(model.task).__name__,
        "encoded": {"formats": ["JPEG", "PNG", "GIF", "BMP"], "max_pixels": max_pixels,
                    "image_size": size, "exif_orientation": "applied (JPEG)",
                    "transparent": "on white (PNG)", "gif": "first frame",
                    "framing": "central square, resized with antialiasing"},
        "images": {"channels": "RGB", "dtype": "uint8", "range": [0, 255], "size": "any"},
        "normalization": {"part of the model": True,
                          **{k: config[k] for k in ("mean", "std", "sobel", "color")
                             if k in config}},
        "computed_in": _precision(backbone),
        "taps": taps,
        "embedding": {"tap": tap, "pooling": "avg", "whitened": whitening is not None,
                      "channels": (taps[tap]["channels"] if whitening is None
                                   else whitening[1].shape[1]), "norm": 1, "dtype": "float16"},
    }


def _precision(backbone):
    """What its convolutions compute in."""
    dtypes = {layer.compute_dtype for layer in backbone.layers if hasattr(layer, "kernel")}
    return "bfloat16" if "bfloat16" in dtypes else "float32"


def _never_negative(tensor):
    """Whether a tap ends in a ReLU, pooled or not."""
    import keras

    while True:
        operation, node, _ = tensor._keras_history
        kind = type(operation).__name__
        if kind == "ReLU" or getattr(operation, "activation", None) is keras.activations.relu:
            return True
        if not any(word in kind for word in ("Pool", "Pad", "Dropout")):
            return False
        tensor = operation._inbound_nodes[node].input_tensors[0]


def ask(folder, images):
    """What each signature of a SavedModel says to uint8 images: maps averaged, for comparison.

    Args:
        folder: of the SavedModel.
        images: uint8 `(batch, size, size, 3)`, at the size that it serves.

    Returns:
        dict from signature to a dict from tap to float32 `(batch, channels)`.
    """
    import tensorflow as tf

    signatures = tf.saved_model.load(str(folder)).signatures
    encoded = tf.stack([tf.io.encode_png(image) for image in images])
    maps = signatures["features"](images=tf.constant(images))
    answers = {"features": {tap: tf.reduce_mean(x, (1, 2)) for tap, x in maps.items()},
               "images": signatures["images"](images=tf.constant(images)),
               "serving_default": signatures["serving_default"](bytes=encoded)}
    return {by: {tap: x.numpy() for tap, x in answer.items() if tap != "valid"}
            for by, answer in answers.items()}
