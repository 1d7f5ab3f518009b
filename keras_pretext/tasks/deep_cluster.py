"""DeepCluster: predict the cluster of a picture's own features (Caron et al., ECCV 2018)."""

import math
import os

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import framing as framings
from keras_pretext.layers.sobel import Sobel
from keras_pretext.registry import unknown_name
from keras_pretext.tasks import clustering
from keras_pretext.tasks.base import FlipLayer, PretextModel, Task, registry

_LOGITS = "cluster_logits"
_KMEANS, _SAMPLE, _LOGIT_WEIGHTS = (kind << 40 for kind in (4, 5, 6))  # streams of numbers


def _generator(seed, kind, epoch):
    return np.random.Generator(np.random.Philox(key=[seed, kind + epoch]))


@keras.saving.register_keras_serializable(package="keras_pretext")
class DeepClusterLayer(FlipLayer):
    """Crops and flips. Clusters belong to examples, not to pictures: the layer gives zeros in
    their place, int32, and asks the pipeline for the index (`uses_index`).
    """

    uses_index = True

    def puzzle(self, images, draws):
        images = self.mirrored(images, draws)
        return images, ops.zeros((ops.shape(images)[0],), "int32")


@registry.register("deep_cluster")
@keras.saving.register_keras_serializable(package="keras_pretext")
class DeepCluster(Task):
    """Every epoch cluster the pictures by their features, then learn to tell the clusters.

    Before each epoch: features of all pictures, framed centrally and not augmented, in evaluation
    mode; their principal components, whitened, each row to norm one; k-means. Then a fresh
    classifier, trained without momentum, because the numbers of the clusters mean nothing from
    one epoch to the next. The epoch shows each cluster equally often, whatever its size.
    The paper's network sees edges only: a backbone with `sobel=True`.

    `trainer.tables`: `assignment`, int32 `(n,)`, the cluster of each picture; `clustered`, the
    epoch that it was made for; `nmi`, its normalised mutual information with the assignment
    before it. The assignment of each epoch is also kept in `clusters/epoch-<epoch>.npy` of the
    run's folder, where the features lie, memory-mapped, while they are clustered.

    Args:
        clusters: 10,000 in the paper for ImageNet, ten times its classes.
        pca: components that are clustered.
        kmeans: "faiss", "keras" (this package's own, on the backend), or None: faiss if it is
            installed.
        image_size: side of the framed picture in pixels.
        framing: by default pad-and-crop up to 64 pixels, random resized crops above.
        flip: mirror half of the images.
        tap: the backbone's tap under the classifier; its last one by default. Maps are averaged.
            Fully connected taps are clustered before their ReLU, as in the authors' code.

    Raises:
        ValueError: for options that make no sense; before the first step for more clusters than
            pictures, and where the features of all pictures are the same.
        ImportError: before the first step, where faiss is asked for and is not installed.
    """

    name = "deep_cluster"
    without_momentum = (_LOGITS,)

    def __init__(self, clusters=10000, pca=256, kmeans=None, image_size=224, framing=None,
                 flip=True, tap=None):
        if clusters < 2 or pca < 1:
            raise ValueError("clusters is at least 2 and pca at least 1. "
                             f"Received: clusters={clusters}, pca={pca}")
        if kmeans is not None and kmeans not in clustering.ENGINES:
            raise ValueError(unknown_name("kmeans", kmeans, clustering.ENGINES))
        self.framing = framings.of_size(
            framings.crops(image_size) if framing is None else framing, image_size)
        self.clusters, self.pca, self.kmeans = clusters, pca, kmeans
        self.image_size, self.flip, self.tap = image_size, flip, tap
        self.num_draws = self.framing.num_draws + 1

    @property
    def chance(self):
        return {"loss": math.log(self.clusters), "accuracy": 1 / self.clusters}

    # -- clusters ---------------------------------------------------------------------------

    def tables(self, source, seed):
        clustering.engine(self.kmeans)  # that it is missing is said now
        count = source.num_examples
        if self.clusters > count:
            raise ValueError(f"there are at most as many clusters as pictures, {count}; a tenth "
                             f"of that or less is sensible. Received: clusters={self.clusters}")
        return {"assignment": (np.arange(count) % self.clusters).astype("int32"),
                "clustered": np.array(-1, "int32"), "nmi": np.array(-1, "float32")}

    def on_epoch_start(self, trainer, epoch):
        """Clusters the pictures anew and makes a fresh classifier."""
        if trainer.test_source is not None:
            raise ValueError("held-out pictures belong to no cluster, so there is nothing to test "
                             "them on: use test_split=None, and probe the features. "
                             f"Received: test_split={trainer.recipe.test_split!r}")
        tables, seed, folder = trainer.tables, trainer.recipe.seed, trainer.out / "clusters"
        paths = folder / "features.npy", folder / "points.npy"
        try:
            features = trainer.features(self.descriptor(trainer.model.backbone), paths[0])
            points = clustering.whitened(features, self.pca, paths[1])
            found = clustering.kmeans(points, self.clusters, _generator(seed, _KMEANS, epoch),
                                      self.kmeans)
        finally:
            for path in paths:
                path.unlink(missing_ok=True)
        if tables["clustered"] >= 0:
            nmi = clustering.normalized_mutual_information(found, tables["assignment"])
            tables["nmi"] = np.array(nmi, "float32")
        tables["assignment"], tables["clustered"] = found, np.array(epoch, "int32")
        part = folder / "part.npy"
        np.save(part, found)
        os.replace(part, folder / f"epoch-{epoch:04d}.npy")
        self.renew(trainer.model, _generator(seed, _LOGIT_WEIGHTS, epoch))
        trainer.health.best = math.inf  # the task is a new one

    def descriptor(self, backbone):
        """A model from pictures to the features that are clustered, float32 `(batch, width)`."""
        tap = self.chosen_tap(backbone)
        maps = backbone.extractor(tap).output
        made_by = maps._keras_history.operation
        if tap.startswith("fc") and isinstance(made_by, layers.ReLU):
            maps = made_by.input
        pooled = layers.GlobalAveragePooling2D(dtype="float32")(maps)
        return keras.Model(backbone.input, pooled, name="descriptor")

    def chosen_tap(self, backbone):
        return self.tap or [*backbone.taps][-1]

    def renew(self, model, rng):
        """Fresh weights of the classifier, normal with deviation 0.01, biases zero; and nothing
        of what the optimizer remembers of the former.
        """
        kernel, bias = model.get_layer(_LOGITS).weights
        kernel.assign(rng.normal(0, 0.01, kernel.shape).astype("float32"))
        bias.assign(np.zeros(bias.shape, "float32"))
        for slot in model.optimizer.variables:
            if _LOGITS in slot.path:
                slot.assign(np.zeros(slot.shape, "float32"))

    def before_stream(self, trainer, epoch):
        trainer.layer.chosen = clustering.uniform_sample(
            trainer.tables["assignment"], _generator(trainer.recipe.seed, _SAMPLE, epoch))

    def before_step(self, trainer, index, outputs):
        """The clusters of a batch, int32 `(batch,)`."""
        return trainer.tables["assignment"][index]

    def held_out(self, outputs, labels):
        raise ValueError("held-out pictures belong to no cluster: there is no loss to measure on "
                         "them; probe the features instead. Received: a model of deep_cluster")

    # -- what is reported -------------------------------------------------------------------

    def figures(self, trainer):
        """`clusters_empty`, how many; `cluster_largest`, its share of the pictures; `nmi`, from
        the second clustering on.
        """
        tables = trainer.tables
        if tables["clustered"] < 0:
            return {}
        counts = np.bincount(tables["assignment"], minlength=self.clusters)
        nmi = {"nmi": float(tables["nmi"])} if tables["nmi"] >= 0 else {}
        return {"clusters_empty": int((counts == 0).sum()),
                "cluster_largest": float(counts.max() / counts.sum()), **nmi}

    def diagnose(self, trainer):
        """Names one giant cluster (half of the pictures) and a set of which a quarter is empty."""
        figures = self.figures(trainer)
        if not figures:
            return None
        share, empty = figures["cluster_largest"], figures["clusters_empty"]
        if share > max(0.5, 2 / self.clusters):
            return (f"one giant cluster holds {share:.0%} of the pictures; fewer clusters or a "
                    "lower learning rate may help")
        if empty > self.clusters / 4:
            return (f"clusters are emptying: {empty} of {self.clusters} hold no picture; fewer "
                    "clusters or a lower learning rate may help")
        return None

    # -- the contract -----------------------------------------------------------------------

    def layer(self, augment=True):
        if augment:
            return DeepClusterLayer(self.flip, self.framing)
        return DeepClusterLayer(False, self.framing.evaluation())

    def objective(self):
        return {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]}

    def attach(self, backbone, name="deep_cluster_model", **kwargs):
        inputs = keras.Input((self.image_size, self.image_size, 3), name="images")
        x = backbone.extractor(self.chosen_tap(backbone))(inputs)
        x = layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
        logits = layers.Dense(self.clusters, dtype="float32", name=_LOGITS,
                              kernel_initializer=keras.initializers.RandomNormal(stddev=0.01))(x)
        model = PretextModel(inputs, logits, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws):
        """The picture that is clustered, the one that is trained on, and its edges."""
        seen, shown, rows = self.layer(augment=False), self.layer(), []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            image, draw = ops.convert_to_tensor(image), ops.convert_to_tensor(draw)
            picture = shown(image, draw)[0]
            edges = ops.convert_to_numpy(Sobel()(picture[None]))[0]
            edges = np.clip(127.5 + edges / 4, 0, 255).astype("uint8")
            rows.append([("clustered", ops.convert_to_numpy(seen(image, draw)[0])),
                         ("trained on", ops.convert_to_numpy(picture)),
                         *((title, np.repeat(edges[..., k:k + 1], 3, -1)) for k, title in
                           enumerate(("its edges, left - right", "its edges, top - bottom")))])
        return rows

    def get_config(self):
        return {"clusters": self.clusters, "pca": self.pca, "kmeans": self.kmeans,
                "image_size": self.image_size, "framing": framings.serialize(self.framing),
                "flip": self.flip, "tap": self.tap}
