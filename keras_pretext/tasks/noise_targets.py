"""NAT: noise as targets (Bojanowski and Joulin, ICML 2017)."""

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import framing as framings
from keras_pretext.layers.sobel import Sobel
from keras_pretext.losses.noise_targets import (
    NoiseTargetsLoss,
    best_assignment,
    linear_sum_assignment,
    noise_targets_accuracy,
    sphere_points,
)
from keras_pretext.tasks.base import FlipLayer, PretextModel, Task, registry


@keras.saving.register_keras_serializable(package="keras_pretext")
class NoiseTargetsLayer(FlipLayer):
    """Crops and flips. Targets belong to examples, not to pictures: the layer gives zeros in
    their place, float32 `(dim,)`, and asks the pipeline for the index (`uses_index`).
    """

    uses_index = True

    def __init__(self, dim, flip, framing, **kwargs):
        super().__init__(flip, framing, **kwargs)
        self.dim = dim

    def puzzle(self, images, draws):
        images = self.mirrored(images, draws)
        return images, ops.zeros((ops.shape(images)[0], self.dim), "float32")

    def get_config(self):
        return {**super().get_config(), "dim": self.dim}


@registry.register("noise_targets")
@keras.saving.register_keras_serializable(package="keras_pretext")
class NoiseTargets(Task):
    """Send every picture to a point of its own on the sphere; swap points where that is nearer.

    The points are noise and never change. In epochs 0, 3, 6 ... (`every`), the pictures of each
    batch exchange their points so that the sum of outputs . points is the largest possible, before
    the step is made; in between, each keeps its own. Which point belongs to which picture is
    `trainer.tables["assignment"]`, a permutation, int32; it is saved and resumed with the run.
    The paper's network sees edges only: a backbone with `sobel=True`.

    Args:
        dim: coordinates of the points: 2048 in the paper, fewer for small networks.
        every: epochs from one assignment to the next; 3 in the paper.
        image_size: side of the framed picture in pixels.
        framing: by default pad-and-crop up to 64 pixels, random resized crops above.
        flip: mirror half of the images.
        tap: the backbone's tap under the head; its last one by default. Maps are averaged.
    """

    name = "noise_targets"

    def __init__(self, dim=2048, every=3, image_size=224, framing=None, flip=True, tap=None):
        if dim < 2 or every < 1:
            raise ValueError("dim is at least 2 and every at least 1. "
                             f"Received: dim={dim}, every={every}")
        self.framing = framings.of_size(
            framings.crops(image_size) if framing is None else framing, image_size)
        self.dim, self.every, self.image_size = dim, every, image_size
        self.flip, self.tap = flip, tap
        self.num_draws = self.framing.num_draws + 1

    # of one fixed output: a random point is as often near as far
    chance = {"loss": 2.0, "accuracy": 0.5}

    def layer(self, augment=True):
        if augment:
            return NoiseTargetsLayer(self.dim, self.flip, self.framing)
        return NoiseTargetsLayer(self.dim, False, self.framing.evaluation())

    def tables(self, source, seed):
        """`assignment`: the point of each example, a random permutation, int32 `(n,)`; `seed`."""
        linear_sum_assignment()  # that it is missing is said now
        order = np.argsort(np.random.Philox(key=[seed, 1 << 40]).random_raw(source.num_examples),
                           kind="stable")
        return {"assignment": order.astype("int32"), "seed": np.array(seed, "uint32")}

    def before_step(self, trainer, index, outputs):
        """The targets of a batch, float32 `(batch, dim)`; now and then assigned anew."""
        assignment, seed = (trainer.tables[name] for name in ("assignment", "seed"))
        points = sphere_points(int(seed), assignment[index], self.dim)
        if trainer.step // trainer.steps_per_epoch % self.every == 0:
            order = best_assignment(outputs(), points)
            if order is not None:  # else the step will find that the loss is not finite
                assignment[index] = assignment[index][order]
                points = points[order]
        return points

    def held_out(self, outputs, labels):
        """Held-out pictures share the points of seed 0 among their batch, as well as they can.

        The figures tell whether the outputs fill the sphere: random vectors do, with an accuracy
        of 99 % in batches of 128 and 256 coordinates.
        """
        points = sphere_points(0, ops.convert_to_numpy(labels), self.dim)
        order = best_assignment(ops.convert_to_numpy(outputs), points)
        return ops.convert_to_tensor(points if order is None else points[order])

    def objective(self):
        """Metric: `accuracy`, the share of pictures that are nearer to their own target than to
        that of the picture before them in the batch.
        """
        accuracy = keras.metrics.MeanMetricWrapper(noise_targets_accuracy, name="accuracy")
        return {"loss": NoiseTargetsLoss(), "metrics": [accuracy]}

    def attach(self, backbone, name="noise_targets_model", **kwargs):
        inputs = keras.Input((self.image_size, self.image_size, 3), name="images")
        x = backbone.extractor(self.tap or [*backbone.taps][-1])(inputs)
        x = layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
        x = layers.Dense(self.dim, dtype="float32", name="projection")(x)
        x = layers.UnitNormalization(axis=-1, dtype="float32", name="sphere")(x)
        model = PretextModel(inputs, x, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws):
        layer, rows = self.layer(), []
        for k, (image, draw) in enumerate(zip(images, np.asarray(draws, "float32"), strict=True)):
            picture, _ = layer(ops.convert_to_tensor(image), ops.convert_to_tensor(draw))
            edges = ops.convert_to_numpy(Sobel()(picture[None]))[0]
            edges = np.clip(127.5 + edges / 4, 0, 255).astype("uint8")
            side = min(8, int(self.dim**0.5))
            point = sphere_points(0, k, self.dim)[:side * side].reshape(side, side)
            point = np.clip(127.5 + point * 60 * self.dim**0.5, 0, 255).astype("uint8")
            point = point.repeat(self.image_size // side, 0).repeat(self.image_size // side, 1)
            rows.append([("picture", ops.convert_to_numpy(picture)),
                         *((title, np.repeat(map_[..., None], 3, -1)) for title, map_ in (
                             ("edges, left - right", edges[..., 0]),
                             ("edges, top - bottom", edges[..., 1]),
                             ("part of its point", point)))])
        return rows

    def get_config(self):
        return {"dim": self.dim, "every": self.every, "image_size": self.image_size,
                "framing": framings.serialize(self.framing), "flip": self.flip, "tap": self.tap}
