"""RotNet: predict by how much an image was rotated (Gidaris, Singh, Komodakis, ICLR 2018)."""

import math

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import framing as framings
from keras_pretext.image.geometry import (
    quarter_turns,
    rotate_quarter,
    stack,
    turn_and_blur,
)
from keras_pretext.tasks.base import FlipLayer, PretextModel, Task, registry


@keras.saving.register_keras_serializable(package="keras_pretext")
class RotationLayer(FlipLayer):
    """Every rotation of one augmented image, with the place of its angle as pseudolabel.

    Flips come before the rotation: after it they would make 90 and 270 degrees the same (the
    flip of R90 is R270 of the flip). Multiples of 90 degrees are flips and transposes; where an
    odd multiple of 45 is among the angles, every copy goes through one isotropic resampler and
    the same central crop of side/sqrt(2), so that neither blur nor corners tell the angle.
    """

    def __init__(self, angles, flip, framing, **kwargs):
        super().__init__(flip, framing, **kwargs)
        self.angles = tuple(angles)

    def puzzle(self, images, draws):
        images = self.mirrored(images, draws)
        if any(angle % 90 for angle in self.angles):
            crop = diagonal_crop(self.framing.size)
            turned = {odd: turn_and_blur(images, 45 * odd, crop)
                      for odd in {angle // 45 % 2 for angle in self.angles}}
            copies = [rotate_quarter(turned[angle // 45 % 2], angle // 90)
                      for angle in self.angles]
        else:
            copies = quarter_turns(images, [angle // 90 for angle in self.angles])
        labels = ops.arange(len(self.angles), dtype="int32")[None]
        return (stack(copies),
                ops.broadcast_to(labels, (ops.shape(images)[0], len(self.angles))))

    def get_config(self):
        return {**super().get_config(), "angles": self.angles}


def diagonal_crop(size):
    """Side of the largest centred square that no multiple of 45 degrees leaves empty in."""
    return int(size / math.sqrt(2))


@registry.register("rotation")
@keras.saving.register_keras_serializable(package="keras_pretext")
class Rotation(Task):
    """Rotate an image by each of a set of angles; tell which is which (section 2 of the paper).

    The pseudolabel of a copy is the place of its angle in `angles`; angles are degrees
    counter-clockwise, as in `numpy.rot90`. All rotations of an image share a batch.

    Args:
        image_size: side of the framed picture in pixels.
        angles: distinct multiples of 45: (0, 90, 180, 270) in the paper's main model, and for
            its Table 2 (0, 45, ..., 315), (0, 180) or (90, 270).
        framing: a `Framing` or its config. Default: pad-and-crop up to 64 pixels, random resized
            crops above. With odd multiples of 45, random crops of 8/9 up to 64 pixels: black
            padding would show in the corners of their copies only.
        flip: mirror half of the images, before rotating.
        tap: the backbone's tap under the head; its last one by default.
    """

    name = "rotation"

    def __init__(self, image_size=32, angles=(0, 90, 180, 270), framing=None, flip=True, tap=None):
        angles = tuple(int(a) for a in angles)
        legal = all(a % 45 == 0 and 0 <= a < 360 for a in angles)
        if len(angles) < 2 or len(set(angles)) < len(angles) or not legal:
            raise ValueError("angles are two or more distinct multiples of 45 in [0, 360). "
                             f"Received: {angles!r}")
        if framing is None:
            odd = any(angle % 90 for angle in angles)
            framing = (framings.ResizeCrop(image_size, round(image_size * 9 / 8))
                       if odd and image_size <= 64 else framings.crops(image_size))
        self.framing = framings.of_size(framing, image_size)
        self.image_size, self.angles, self.flip, self.tap = image_size, angles, flip, tap
        self.num_draws = self.framing.num_draws + 1

    @property
    def input_size(self):
        """Side of what the network sees: smaller than `image_size` for multiples of 45."""
        odd = any(a % 90 for a in self.angles)
        return diagonal_crop(self.image_size) if odd else self.image_size

    @property
    def chance(self):
        ways = len(self.angles)
        return {"loss": math.log(ways), "accuracy": 1 / ways}

    def layer(self, augment=True):
        if augment:
            return RotationLayer(self.angles, self.flip, self.framing)
        return RotationLayer(self.angles, False, self.framing.evaluation())

    def objective(self):
        return {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]}

    def attach(self, backbone, name="rotation_model", **kwargs):
        ways, size = len(self.angles), self.input_size
        tap = self.tap or list(backbone.taps)[-1]
        inputs = keras.Input((ways, size, size, 3), name="rotations")
        copies = ops.reshape(inputs, (-1, size, size, 3))
        features = backbone.extractor(tap)(copies)
        features = layers.GlobalAveragePooling2D(name="pool", dtype="float32")(features)
        logits = layers.Dense(ways, dtype="float32", name="logits",
                              kernel_initializer="he_normal")(features)
        logits = ops.reshape(logits, (-1, ways, ways))
        model = PretextModel(inputs, logits, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws):
        layer = self.layer()
        rows = []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            copies, labels = layer(ops.convert_to_tensor(image), ops.convert_to_tensor(draw))
            copies, labels = ops.convert_to_numpy(copies), ops.convert_to_numpy(labels)
            rows.append([(f"{self.angles[label]}\N{DEGREE SIGN} (label {label})", copy)
                         for copy, label in zip(copies, labels, strict=True)])
        return rows

    def get_config(self):
        return {"image_size": self.image_size, "angles": self.angles,
                "framing": framings.serialize(self.framing), "flip": self.flip, "tap": self.tap}
