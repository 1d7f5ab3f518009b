"""Exemplar learning by triplets: copies of a picture are near each other (Kolesnikov, Zhai, Beyer,
"Revisiting Self-Supervised Visual Representation Learning", CVPR 2019, section 3.1)."""

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from keras_pretext.image import framing as framings
from keras_pretext.image import photometric
from keras_pretext.layers.patch_standardization import PatchStandardization
from keras_pretext.losses.triplet import (
    CosineTripletAccuracy,
    CosineTripletLoss,
    SemiHardTripletLoss,
    triplet_accuracy,
)
from keras_pretext.registry import unknown_name
from keras_pretext.tasks.base import PretextLayer, PretextModel, Task, registry

NEGATIVES = ("semi_hard", "all")
_DRAWS = 10  # of a copy: four for the crop; flip, brightness, saturation, hue, contrast, grey


@keras.saving.register_keras_serializable(package="keras_pretext")
class ExemplarTripletLayer(PretextLayer):
    """Several crops of a framed picture, each mirrored and recoloured on its own.

    Gives uint8 `(copies, size, size, 3)` and the copies' numbers, int32 `(copies,)`, which the
    loss does not read: what is another picture it takes from the batch.
    """

    def __init__(self, copies, size, grey, framing, **kwargs):
        framing = framings.get(framing)
        super().__init__(framing, framing.num_draws + _DRAWS * copies, **kwargs)
        self.copies, self.size, self.grey = copies, size, grey

    def puzzle(self, images, draws):
        side = self.framing.size
        draws = ops.reshape(draws[:, :self.copies * _DRAWS], (-1, self.copies, _DRAWS))
        crop, out = framings.RandomResizedCrop(self.size), []
        for copy in range(self.copies):
            numbers = draws[:, copy]
            window = crop.window(ops.full_like(numbers[:, 0], side, "int32"),
                                 ops.full_like(numbers[:, 0], side, "int32"), numbers[:, :4])
            x = framings.resample(images, *window, self.size)
            out.append(framings.to_uint8(self._recoloured(x / 255.0, numbers[:, 4:]) * 255.0))
        labels = ops.arange(self.copies, dtype="int32")[None]
        return (ops.stack(out, axis=1),
                ops.broadcast_to(labels, (ops.shape(images)[0], self.copies)))

    def _recoloured(self, x, numbers):
        """The colour distortion of Inception's training (Szegedy et al., 2015), in one order."""
        flip, light, vivid, hue, contrast, grey = (
            numbers[:, k][:, None, None] for k in range(6))
        x = ops.where(flip[..., None] < 0.5, ops.flip(x, 2), x)
        x = ops.clip(x + (light[..., None] * 2.0 - 1.0) * (32 / 255), 0.0, 1.0)
        hsv = photometric.to_hsv(x)
        x = photometric.from_hsv(ops.stack(
            [hsv[..., 0] + 0.4 * hue - 0.2, ops.clip(hsv[..., 1] * (0.5 + vivid), 0.0, 1.0),
             hsv[..., 2]], -1))
        mean = ops.mean(x, (1, 2), keepdims=True)
        x = ops.clip((x - mean) * (0.5 + contrast[..., None]) + mean, 0.0, 1.0)
        luminance = ops.sum(x * ops.convert_to_tensor([0.299, 0.587, 0.114]), -1, keepdims=True)
        return ops.where(grey[..., None] < self.grey, luminance, x)

    def get_config(self):
        return {**super().get_config(), "copies": self.copies, "size": self.size,
                "grey": self.grey, "framing": framings.serialize(self.framing)}


@registry.register("exemplar_triplet")
@keras.saving.register_keras_serializable(package="keras_pretext")
class ExemplarTriplet(Task):
    """Copies of a picture are to be nearer each other than to those of other pictures.

    What `Exemplar` does with a class for each seed, without a classifier: the relation lies in the
    batch, so the number of pictures has no bound. Each copy is normalised by its own statistics,
    else the copies of a picture are known by its cast of colour.

    Args:
        copies: of each picture in a batch; 2 with `negatives="all"`.
        image_size: side of the crops in pixels.
        dim: features of the embedding.
        margin: of the loss.
        negatives: "semi_hard", or "all": the `CosineTripletLoss` against every other picture of
            the batch (Doersch and Zisserman, ICCV 2017; that these are all could not be confirmed).
        grey: share of the copies that lose their colour.
        standardize: whether copies are normalised; False leaves that shortcut open.
        framing: how a picture becomes the square that is cropped; by default its central square
            at 8/7 of `image_size`.
        tap: the backbone's tap under the embedding; its last one by default. Maps are averaged.
    """

    name = "exemplar_triplet"

    def __init__(self, copies=8, image_size=224, dim=1000, margin=0.5, grey=0.66, standardize=True,
                 framing=None, tap=None, negatives="semi_hard"):
        if copies < 2 or dim < 2 or image_size < 1:
            raise ValueError("copies and dim are at least 2, image_size at least 1. Received: "
                             f"copies={copies}, dim={dim}, image_size={image_size}")
        if not 0 <= grey <= 1:
            raise ValueError(f"grey is a share in [0, 1]. Received: {grey}")
        if negatives not in NEGATIVES:
            raise ValueError(unknown_name("negatives", negatives, NEGATIVES))
        if negatives == "all" and copies != 2:
            raise ValueError(f"with negatives='all' there are 2 copies. Received: {copies}")
        SemiHardTripletLoss(margin)  # refuses one that makes no sense
        self.framing = framings.get(framing or framings.CentreCrop(round(image_size * 8 / 7)))
        self.copies, self.image_size, self.dim = copies, image_size, dim
        self.margin, self.grey, self.tap = margin, grey, tap
        self.standardize, self.negatives = bool(standardize), negatives
        self.num_draws = self.framing.num_draws + _DRAWS * copies

    @property
    def chance(self):
        """Of embeddings that are all the same; of random ones the accuracy is a half."""
        return {"loss": self.margin, "accuracy": 0.5}

    def layer(self, augment=True):
        """The ExemplarTripletLayer; copies of test pictures differ as well."""
        framing = self.framing if augment else self.framing.evaluation()
        return ExemplarTripletLayer(self.copies, self.image_size, self.grey, framing)

    def objective(self):
        if self.negatives == "all":
            return {"loss": CosineTripletLoss(self.margin, groups=False),
                    "metrics": [CosineTripletAccuracy(groups=False)]}
        accuracy = keras.metrics.MeanMetricWrapper(triplet_accuracy, name="accuracy")
        return {"loss": SemiHardTripletLoss(self.margin), "metrics": [accuracy]}

    def attach(self, backbone, name="exemplar_triplet_model", **kwargs):
        size = self.image_size
        inputs = keras.Input((self.copies, size, size, 3), name="copies")
        x = ops.reshape(inputs, (-1, size, size, 3))
        if self.standardize:
            x = PatchStandardization(getattr(backbone, "mean", IMAGENET_MEAN),
                                     getattr(backbone, "std", IMAGENET_STD),
                                     name="standardize")(x)
        x = backbone.extractor(self.tap or [*backbone.taps][-1])(x)
        x = layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
        x = layers.Dense(self.dim, dtype="float32", name="embedding")(x)
        x = ops.reshape(x, (-1, self.copies, self.dim))
        model = PretextModel(inputs, x, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws):
        layer, rows = self.layer(), []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            image, draw = ops.convert_to_tensor(image), ops.convert_to_tensor(draw)
            framed = layer.framing(image, draw[:layer.framing.num_draws])
            copies = ops.convert_to_numpy(layer.framed(framed, draw)[0])
            rows.append([("picture", ops.convert_to_numpy(framed)),
                         *((f"copy {k + 1}", copy) for k, copy in enumerate(copies))])
        return rows

    def get_config(self):
        return {"copies": self.copies, "image_size": self.image_size, "dim": self.dim,
                "margin": self.margin, "grey": self.grey, "standardize": self.standardize,
                "framing": framings.serialize(self.framing), "tap": self.tap,
                "negatives": self.negatives}
