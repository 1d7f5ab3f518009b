"""What a patch is told by: a tap of a network, or histograms of oriented gradients."""

import numpy as np

BATCH = 64
HOG = "hog"


class NodeFeatures:
    """Features of patches by a recipe's `model` and `tap`.

    Attributes:
        weights: a digest of the network's, None of HOG.

    Raises:
        ValueError: an unknown model or tap.
    """

    def __init__(self, recipe):
        self._side = recipe.patch_size
        self.weights = None
        if recipe.model == HOG:
            self._run = _hog(self._side)
        else:
            self._run, self.weights = _tap(recipe)

    def __call__(self, patches):
        """Rows of unit length (of zeros, where a patch tells nothing).

        Args:
            patches: a list of encoded pictures.

        Returns:
            float16 `(n, d)`.
        """
        import tensorflow as tf

        rows = []
        for start in range(0, len(patches), BATCH):
            images = np.stack([tf.io.decode_image(p, channels=3).numpy()
                               for p in patches[start:start + BATCH]])
            x = self._run(images).reshape(len(images), -1).astype(np.float32)
            norm = np.linalg.norm(x, axis=1, keepdims=True)
            rows.append((x / np.where(norm > 0, norm, 1)).astype(np.float16))
        return np.concatenate(rows) if rows else np.zeros((0, 1), np.float16)


def _tap(recipe):
    import keras

    from keras_pretext.backbones.base import backbone_of
    from keras_pretext.evaluation.features import check_taps, compiled, weights_digest
    from keras_pretext.zoo.entry import pretext_model

    backbone = backbone_of(pretext_model(recipe.model))
    [tap] = check_taps(backbone, recipe.tap)
    inputs = keras.Input((recipe.patch_size,) * 2 + (3,), name="images", dtype="uint8")
    run, _ = compiled(inputs, backbone.extractor([tap])(inputs), None)

    def rows(images):
        short = BATCH - len(images)  # one shape, one graph
        return np.asarray(run(np.pad(images, [(0, short), (0, 0), (0, 0), (0, 0)]))[tap]
                          )[:len(images)]

    return rows, weights_digest(backbone)


def _hog(side):
    import cv2

    side = side // 8 * 8
    hog = cv2.HOGDescriptor((side, side), (16, 16), (8, 8), (8, 8), 9)

    def rows(images):
        return np.stack([hog.compute(cv2.resize(image, (side, side))) for image in images])

    return rows
