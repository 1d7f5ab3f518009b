"""A SavedModel with three signatures, holding only TensorFlow's own ops and each weight once."""

import pathlib


def export(model, folder, image_size=None):
    """Writes the SavedModel of a PretextModel's backbone, in the model's own precision.

    Signatures:
        serving_default: `bytes`, strings `(batch,)`: encoded JPEG, PNG, GIF or BMP of any sizes
            together, grey and palette too; of each the central square, resized (antialiased) to
            `image_size`: the same as resizing the short side and cropping. EXIF orientation is
            not read. Gives what `images` gives.
        images: `images`, uint8 `(batch, height, width, 3)` of any size, taken as it is. Gives all
            taps, averaged over their maps, float32 `(batch, channels)`.
        features: as `images`, but the maps, float32 `(batch, height, width, channels)`.

    Args:
        model: a PretextModel.
        folder: to write; it must not hold another model.
        image_size: side in pixels for `serving_default`; the task's by default.
    """
    import tensorflow as tf

    backbone, size = model.backbone, image_size or model.task.image_size

    class Served(tf.Module):
        def __init__(self):
            super().__init__()
            self.weights = [w.value for w in backbone.weights]

        def maps(self, images):
            out = backbone(images, training=False)
            return {tap: tf.cast(out[tap], tf.float32) for tap in backbone.taps}

        def vectors(self, images):
            return {tap: tf.reduce_mean(x, (1, 2)) for tap, x in self.maps(images).items()}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "bytes")])
        def from_bytes(self, bytes):  # noqa: A002
            images = tf.map_fn(lambda one: _square(tf, one, size), bytes,
                               fn_output_signature=tf.TensorSpec((size, size, 3), tf.uint8))
            return self.vectors(images)

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, "images")])
        def from_images(self, images):
            return self.vectors(images)

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, "images")])
        def features(self, images):
            return self.maps(images)

    served = Served()
    # no stack traces in the graph: they name the folders of this host
    options = tf.saved_model.SaveOptions(experimental_debug_stripper=True)
    tf.saved_model.save(served, str(pathlib.Path(folder)), options=options, signatures={
        "serving_default": served.from_bytes, "images": served.from_images,
        "features": served.features})


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
    return {by: {tap: x.numpy() for tap, x in answer.items()} for by, answer in answers.items()}


def _square(tf, encoded, size):
    """Encoded bytes to the central uint8 square of `size` pixels."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top:top + side, left:left + side]
    image = tf.image.resize(image, (size, size), antialias=True)
    return tf.cast(tf.floor(tf.clip_by_value(image, 0.0, 255.0) + 0.5), tf.uint8)
