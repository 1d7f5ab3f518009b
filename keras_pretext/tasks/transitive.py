"""Transitive invariance: patches that a graph mined from video joins are to be near each other
(Wang, He and Gupta, ICCV 2017)."""

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import framing as framings
from keras_pretext.image.geometry import mirror, select
from keras_pretext.losses.triplet import CosineTripletAccuracy, CosineTripletLoss
from keras_pretext.tasks.base import PretextLayer, PretextModel, Task, registry


@keras.saving.register_keras_serializable(package="keras_pretext")
class TransitiveLayer(PretextLayer):
    """The two patches of a pair, each mirrored or not on its own.

    Takes uint8 `(H, W, 6)` and gives uint8 `(2, size, size, 3)`; the pipeline adds the source's
    labels (`uses_labels`): parent, two videos, and whether it is an intra pair.

    Draws: the framing's, then one for the mirror of each patch.
    """

    uses_labels = True
    channels = 6

    def __init__(self, flip, framing, **kwargs):
        framing = framings.get(framing)
        super().__init__(framing, framing.num_draws + 2, **kwargs)
        self.flip = flip

    def puzzle(self, images, draws):
        both = [images[..., :3], images[..., 3:]]
        if self.flip:
            both = [select(draws[:, k] < 0.5, mirror(x), x) for k, x in enumerate(both)]
        return ops.stack(both, 1), ops.zeros((ops.shape(images)[0], 4), "int32")

    def get_config(self):
        return {**super().get_config(), "flip": self.flip,
                "framing": framings.serialize(self.framing)}


@registry.register("transitive")
@keras.saving.register_keras_serializable(package="keras_pretext")
class Transitive(Task):
    """Siamese triplets: the patches of a pair are nearer than patches of other parents.

    Data are `pairs:FOLDER`, what `keras-pretext mine` has written. Negatives are the patches of
    other pairs in the batch (of one replica) whose parent cluster is another and which come from
    other videos.

    Args:
        image_size: side of the patches in pixels.
        hidden: widths of the fully connected layers between the tap and the embedding.
        dim: features of the embedding, which is compared by its cosine.
        margin, hard: of the `CosineTripletLoss`.
        multi_task: the ablation of the paper's Table 2: pairs of one track (intra) have
            fully connected layers of their own, all others share some; for splits such as
            "intra+inter".
        framing: gives `image_size`; by default the whole patch.
        flip: mirror half of the patches, each on its own.
        tap: the backbone's tap under the fully connected layers; its last one by default. A map
            is flattened.
    """

    name = "transitive"

    def __init__(self, image_size=96, hidden=(4096,), dim=1024, margin=0.5, hard=False,
                 multi_task=False, framing=None, flip=True, tap=None):
        if dim < 2:
            raise ValueError(f"dim is at least 2. Received: {dim}")
        CosineTripletLoss(margin)  # refuses one that makes no sense
        self.framing = framings.of_size(
            framings.CentreCrop(image_size) if framing is None else framing, image_size)
        self.image_size, self.hidden, self.dim = image_size, tuple(hidden), dim
        self.margin, self.hard, self.multi_task = margin, bool(hard), bool(multi_task)
        self.flip, self.tap = flip, tap
        self.num_draws = self.framing.num_draws + 2

    @property
    def chance(self):
        """Of embeddings that are all the same; of random ones the accuracy is a half."""
        return {"loss": self.margin, "accuracy": 0.5}

    def layer(self, augment=True):
        if augment:
            return TransitiveLayer(self.flip, self.framing)
        return TransitiveLayer(False, self.framing.evaluation())

    def objective(self):
        """Metric: `accuracy`, the share of the triplets whose partner is nearer."""
        return {"loss": CosineTripletLoss(self.margin, self.hard),
                "metrics": [CosineTripletAccuracy(name="accuracy")]}

    def attach(self, backbone, name="transitive_model", **kwargs):
        """Answers `(batch, heads, 2, dim)`: of one head, or of two with `multi_task`."""
        size = self.image_size
        inputs = keras.Input((2, size, size, 3), name="pairs")
        x = ops.reshape(inputs, (-1, size, size, 3))
        x = layers.Flatten(name="flat")(backbone.extractor(self.tap or [*backbone.taps][-1])(x))
        answers = []
        for head in ("inter", "intra") if self.multi_task else ("pair",):
            y = x
            for k, units in enumerate(self.hidden, 6):
                y = layers.Dense(units, activation="relu", name=f"{head}_fc{k}")(y)
            y = layers.Dense(self.dim, dtype="float32", name=f"{head}_embedding")(y)
            answers.append(ops.reshape(y, (-1, 2, self.dim)))
        x = ops.stack(answers, 1)
        model = PretextModel(inputs, x, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws):
        """Pairs, pictures of six channels, as the network sees them."""
        layer, rows = self.layer(), []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            both, _ = layer(ops.convert_to_tensor(image), ops.convert_to_tensor(draw))
            first, second = ops.convert_to_numpy(both)
            rows.append([("a patch", first), ("is near to", second)])
        return rows

    def get_config(self):
        return {"image_size": self.image_size, "hidden": self.hidden, "dim": self.dim,
                "margin": self.margin, "hard": self.hard, "multi_task": self.multi_task,
                "framing": framings.serialize(self.framing), "flip": self.flip, "tap": self.tap}
