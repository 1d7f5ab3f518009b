"""A SavedModel with three signatures, holding only TensorFlow's own ops and each weight once."""

import pathlib


def export(model, folder):
    """Writes the SavedModel of a PretextModel's backbone.

    Signatures:
        serving_default: `bytes`, strings `(batch,)`: encoded JPEG, PNG, GIF or BMP of any sizes
            together; each is resized (short side, antialiased) and centrally cropped to the
            task's image size. Gives all taps.
        images: `images`, uint8 `(batch, height, width, 3)` of any size, taken as it is. Gives all
            taps, averaged over their maps, float32 `(batch, channels)`.
        features: as `images`, but the maps, float32 `(batch, height, width, channels)`.
    """
    import tensorflow as tf

    backbone, size = model.backbone, model.task.image_size

    class Served(tf.Module):
        def __init__(self):
            super().__init__()
            self.weights = [w.value for w in backbone.weights]

        def maps(self, images):
            out = backbone(images, training=False)
            return {tap: tf.cast(out[tap], tf.float32) for tap in backbone.taps}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "bytes")])
        def from_bytes(self, bytes):  # noqa: A002
            images = tf.map_fn(lambda one: _square(tf, one, size), bytes,
                               fn_output_signature=tf.TensorSpec((size, size, 3), tf.uint8))
            return self.maps(images)

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, "images")])
        def vectors(self, images):
            return {tap: tf.reduce_mean(x, (1, 2)) for tap, x in self.maps(images).items()}

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, "images")])
        def features(self, images):
            return self.maps(images)

    served = Served()
    tf.saved_model.save(served, str(pathlib.Path(folder)), signatures={
        "serving_default": served.from_bytes, "images": served.vectors,
        "features": served.features})


def _square(tf, encoded, size):
    """Encoded bytes to the central uint8 square of `size` pixels."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top:top + side, left:left + side]
    image = tf.image.resize(image, (size, size), antialias=True)
    return tf.cast(tf.floor(tf.clip_by_value(image, 0.0, 255.0) + 0.5), tf.uint8)
