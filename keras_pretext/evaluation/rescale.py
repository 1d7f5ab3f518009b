"""Data-dependent initialisation and rescaling (Krähenbühl, Doersch, Donahue & Darrell, 2016)."""

import keras
import numpy as np

from keras_pretext.backbones.base import backbone_of
from keras_pretext.evaluation.features import first_pictures, size_for

KINDS = ("random", "kmeans")
BATCH = 16  # pictures at a time
PATCHES = 20_000  # of a layer's input, for k-means


def absorb_batch_norm(model):
    """A copy of a backbone without batch normalisation, whose features are the same.

    What each normalisation does with its running statistics goes into the weights and the bias of
    the convolution before it (Gidaris et al., 2018, released code).

    Raises:
        ValueError: for a backbone that cannot be built without, or a normalisation that does not
            follow a convolution.
    """
    backbone = backbone_of(model)
    norms = _norms(backbone)
    config = backbone.get_config()
    if norms:
        config["batch_norm"] = False
    try:
        bare = type(backbone).from_config(config)
    except TypeError:
        bare = None
    if bare is None or _norms(bare):
        raise ValueError("this backbone cannot be built without batch normalisation; evaluate it "
                         "as it is, with rescaled=False (--set rescaled=false). "
                         f"Received: {type(backbone).__name__}")
    folded = {norm.input._keras_history.operation.name: norm for norm in norms}
    for layer in bare.layers:
        if not layer.weights:
            continue
        old = backbone.get_layer(layer.name)
        values = old.get_weights()
        if layer.name in folded:
            values = _folded(values, folded.pop(layer.name), layer.bias is not None)
        layer.set_weights(values)
    if folded:
        raise ValueError("batch normalisation is absorbed by the convolution before it. "
                         f"Received: {sorted(n.name for n in folded.values())} after others")
    return bare


def _norms(backbone):
    return [x for x in backbone.layers if isinstance(x, keras.layers.BatchNormalization)]


def _folded(values, norm, biased):
    """Kernel and bias that do what `values` and the normalisation after them did, in float64."""
    if not biased:
        raise ValueError("a convolution that absorbs batch normalisation has a bias. "
                         f"Received: the one before {norm.name} without")
    kernel = values[0].astype(np.float64)
    bias = values[1] if len(values) > 1 else 0.0
    mean, variance = (keras.ops.convert_to_numpy(x).astype(np.float64)
                      for x in (norm.moving_mean, norm.moving_variance))
    scale = 1.0 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * keras.ops.convert_to_numpy(norm.gamma)
    shift = keras.ops.convert_to_numpy(norm.beta) if norm.center else 0.0
    return [kernel * scale, (bias - mean) * scale + shift]


def convolutions(backbone):
    """The layers with a kernel, in the order in which a picture meets them.

    Raises ValueError where they are not one chain, or a batch normalisation is between them.
    """
    if _norms(backbone):
        raise ValueError("rescaling is for networks without batch normalisation: absorb it first. "
                         f"Received: {backbone.name} with {len(_norms(backbone))} of them")
    layers = [x for x in backbone.layers if hasattr(x, "kernel")]
    for layer in backbone.layers:
        if isinstance(layer.input, list) and len(layer.input) > 1:
            raise ValueError("rescaling is for networks whose layers are one chain. "
                             f"Received: {backbone.name} with {layer.name!r}")
    return layers


def rescale(model, images, iterations=10, seed=0):
    """Makes all layers of a backbone learn at the same pace; changes its weights in place.

    The ratio of gradient to weight, sqrt(mean(dW^2) / mean(W^2)) for a top gradient of N(0, 1)
    noise, becomes their geometric mean in every layer, and the deviation of the last tap 1
    (section 3.2, "between-layer", and the released code). The function stays the same but for
    its scale where all in between is homogeneous (ReLU and pooling; local response normalisation
    nearly); biases are scaled with their layers' inputs. Dropout stands still.

    Args:
        model: a backbone without batch normalisation (see `absorb_batch_norm`), a chain.
        images: uint8 `(n, size, size, 3)`; 160 in the released code.
        iterations: at most; it ends when all ratios and the deviation are within 1 %.

    Returns:
        dict: `ratios` of the last measurement by layer, `output_std`, `iterations` done.
    """
    import tensorflow as tf

    backbone = backbone_of(model)
    layers = convolutions(backbone)
    images = _checked_images(images)
    parts = _parts(backbone, layers)
    top = keras.Model(backbone.input, backbone.output[list(backbone.taps)[-1]])

    def measure():
        total, answers = [0.0] * len(layers), []
        for k, batch in enumerate(images):
            with tf.GradientTape() as tape:
                out = tf.cast(top(batch, training=False), "float32")
                loss = tf.reduce_sum(out * tf.random.stateless_normal(out.shape, (seed, k)))
            gradients = tape.gradient(loss, [layer.kernel.value for layer in layers])
            total = [t + g.numpy().astype(np.float64)
                     for t, g in zip(total, gradients, strict=True)]
            answers.append(out.numpy().reshape(-1, out.shape[-1]))
        ratios = [np.sqrt(np.mean(np.square(t)) / np.mean(np.square(_kernel(layer))))
                  if _kernel(layer).any() else 0.0 for t, layer in zip(total, layers, strict=True)]
        dead = [layer.name for layer, r in zip(layers, ratios, strict=True)
                if not (np.isfinite(r) and r > 0)]
        if dead:
            raise ValueError("these layers have no gradient, or weights that are all zero: they "
                             f"cannot be rescaled. Received: {dead}")
        return np.array(ratios), float(np.concatenate(answers).std(0, np.float64).mean())

    scales, done = [], 0
    maps = images
    for part in parts:
        maps = _outputs(part, maps)
        scales.append(_size(maps))
    while True:
        ratios, deviation = measure()
        target = np.exp(np.log(ratios).mean()) * deviation ** (1 / len(layers))
        off = max(np.abs(np.log(ratios / target)).max(), abs(np.log(deviation)))
        if done == iterations or off < 0.01:
            break
        maps = images
        for k, layer in enumerate(layers):
            maps = _outputs(parts[k], maps)
            now = _size(maps)
            factor = np.sqrt(ratios[k] / target)
            layer.kernel.assign(layer.kernel * factor)
            if layer.bias is not None:
                layer.bias.assign(layer.bias * (factor * now / scales[k]))
            scales[k] = now
        done += 1
    return {"ratios": dict(zip((layer.name for layer in layers), ratios.tolist(), strict=True)),
            "output_std": deviation, "iterations": done}


def initialize(model, images, kind="random", beta=0.1, seed=0):
    """New weights for every layer of a backbone, so that its outputs have deviation 1 on data.

    Layer by layer (section 3.1, "within-layer"): weights from N(0, 1), or from k-means of the
    whitened patches that the layer sees ("kmeans", section 3.3; where there are fewer patches than
    channels, N(0, 1) again, as in the released code); then divided by the deviation of each
    output channel, biases `beta` minus the mean. "Random rescaled" rows are this and `rescale`.

    Args:
        model: a backbone without batch normalisation, a chain; it is changed in place.
        images: uint8 `(n, size, size, 3)`; 160 in the released code.
        kind: "random" or "kmeans" (needs scikit-learn).

    Raises:
        ValueError: for another kind, a network that is no such chain, images that are none.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}. Received: {kind!r}")
    backbone = backbone_of(model)
    layers, images = convolutions(backbone), _checked_images(images)
    rng, maps = np.random.default_rng(seed), images
    for layer, part in zip(layers, _parts(backbone, layers), strict=True):
        maps = _outputs(part, maps)
        shape = tuple(layer.kernel.shape)
        kernel = rng.normal(size=shape)
        if kind == "kmeans":
            kernel = _from_data(layer, maps, kernel, rng)
        layer.kernel.assign(kernel)
        if layer.bias is not None:
            layer.bias.assign(np.zeros(shape[-1]))
        moments, count = np.zeros((2, shape[-1])), 0
        for batch in maps:
            out = keras.ops.convert_to_numpy(layer(batch)).reshape(-1, shape[-1])
            out = out.astype(np.float64)
            moments, count = moments + [out.sum(0), (out * out).sum(0)], count + len(out)
        mean = moments[0] / count
        std = np.sqrt(np.maximum(moments[1] / count - mean * mean, 0.0))
        std = np.where(std > 1e-8, std, 1.0)
        layer.kernel.assign(kernel / std)
        if layer.bias is not None:
            layer.bias.assign(beta - mean / std)


def _parts(backbone, layers):
    """Models from the pictures to the first layer's input, from there to the second's ..."""
    parts = [keras.Model(backbone.input, layers[0].input)]
    return parts + [keras.Model(a.input, b.input)
                    for a, b in zip(layers, layers[1:], strict=False)]


def _outputs(model, batches):
    """What a model answers to each batch."""
    return [model(batch, training=False) for batch in batches]


def _size(maps):
    return float(np.mean([np.abs(keras.ops.convert_to_numpy(x)).mean(dtype=np.float64)
                          for x in maps]))


def rescaled(model, source, init=None, images=160, seed=0, image_size=None):
    """A copy of a model without batch normalisation whose layers learn at the same pace.

    Args:
        model: a backbone, or a model of a task that has one (its head is copied as it is, unless
            `init` makes the features new ones).
        source: pictures, of which the first `images` serve, centrally framed.
        init: "random" or "kmeans" for new weights ("random rescaled", "k-means") instead of the
            model's own.

    Returns:
        `(backbone or PretextModel, what rescale returns)`.
    """
    bare = absorb_batch_norm(model)
    if images < 2:
        raise ValueError(f"two or more images are needed. Received: {images}")
    shown = first_pictures(source, size_for(model, source, image_size), images)
    if init is not None:
        initialize(bare, shown, init, seed=seed)
    found = rescale(bare, shown, seed=seed)
    if not hasattr(model, "task"):
        return bare, found
    copy = model.task.attach(bare)
    if init is None:
        for new, old in zip(_head(copy), _head(model), strict=True):
            new.assign(old)
    return copy, found


def _head(model):
    inside = {id(weight) for weight in model.backbone.weights}
    return [weight for weight in model.weights if id(weight) not in inside]


def patches_of(layer, maps, limit=PATCHES, rng=None):
    """What a convolution multiplies its kernel with: `(rows, kernel height * width * channels)`.

    `limit` rows at most, chosen at random.
    """
    (height, width), padding = layer.kernel_size, layer.padding
    found = keras.ops.convert_to_numpy(keras.ops.image.extract_patches(
        maps, (height, width), strides=layer.strides, dilation_rate=layer.dilation_rate,
        padding=padding))
    rows = found.reshape(-1, found.shape[-1])
    if len(rows) > limit:
        rng = rng or np.random.default_rng(0)
        rows = rows[np.sort(rng.choice(len(rows), limit, replace=False))]
    return rows.astype(np.float64)


def _from_data(layer, batches, kernel, rng):
    """A kernel of k-means centres for each group of channels; `kernel` where data are too few."""
    kernel, inputs, outputs = kernel.copy(), kernel.shape[2], kernel.shape[3] // layer.groups
    rows = [[] for _ in range(layer.groups)]
    for maps in batches:
        for group, kept in enumerate(rows):
            part = maps[..., group * inputs:(group + 1) * inputs]
            kept.append(patches_of(layer, part, -(-PATCHES // len(batches)), rng))
    for group, kept in enumerate(map(np.concatenate, rows)):
        columns = slice(group * outputs, (group + 1) * outputs)
        if len(kept) >= outputs:
            centres = kmeans_filters(kept, outputs, int(rng.integers(1 << 31)))
            kernel[..., columns] = centres.T.reshape(kernel[..., columns].shape)
    return kernel


def kmeans_filters(patches, count, seed=0):
    """Filters `(count, d)`: k-means centres of whitened patches `(n, d)` of unit length.

    The strongest `count` directions are whitened at most; filters are given in pixels.
    """
    from keras_pretext.evaluation.exemplar_svm import linear_svc

    linear_svc()  # tells how to get scikit-learn
    from sklearn.cluster import MiniBatchKMeans

    rows = patches - patches.mean(0)
    values, vectors = np.linalg.eigh(rows.T @ rows)
    values, vectors = values[-count:], vectors[:, -count:]
    shrink = np.where(values < 1e-6, 0.0, 1 / np.sqrt(np.maximum(values, 1e-6) + 1e-3))
    white = rows @ (vectors * shrink)
    white /= np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-12)
    centres = MiniBatchKMeans(count, batch_size=10 * count, n_init=1, random_state=seed).fit(
        white).cluster_centers_
    return centres @ (vectors * shrink).T


def _kernel(layer):
    return keras.ops.convert_to_numpy(layer.kernel).astype(np.float64)


def _checked_images(images):
    """The pictures in batches."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or len(images) < 2:
        raise ValueError("images are (n, height, width, 3), two or more. "
                         f"Received: {images.shape}")
    return [images[k:k + BATCH] for k in range(0, len(images), BATCH)]
