"""The autoencoder that the papers' tables compare with: a picture from its own code."""

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import framing as framings
from keras_pretext.losses import reconstruction
from keras_pretext.tasks.base import FlipLayer, PretextModel, Task, registry
from keras_pretext.tasks.decoders import decode
from keras_pretext.tasks.inpainting import constant_loss, failure


@keras.saving.register_keras_serializable(package="keras_pretext")
class AutoencoderLayer(FlipLayer):
    """A framed picture, mirrored by the last draw, and the same picture: uint8."""

    def puzzle(self, images, draws):
        images = self.mirrored(images, draws)
        return images, images


@registry.register("autoencoder")
@keras.saving.register_keras_serializable(package="keras_pretext")
class Autoencoder(Task):
    """Code a picture and decode it again, by the squared error of all its pixels.

    The row "Autoencoder" of Pathak et al. (CVPR 2016, table 2): the encoder is AlexNet up to
    pool5. Features that suffice to copy need not know anything; expect little more than of random
    weights.

    Args:
        bottleneck: units of a fully connected code between the maps and the decoder; None leaves
            the maps as they are.
        image_size: side of the framed picture in pixels.
        framing: by default short side 9/8 of the size and a random square of that.
        flip: mirror half of the pictures.
        constant_loss: the loss of the best single colour, `task.chance`; `prepare` measures it.
        tap: the backbone's tap under the decoder; its last one by default.
    """

    name = "autoencoder"

    def __init__(self, bottleneck=None, image_size=227, framing=None, flip=True,
                 constant_loss=None, tap=None):
        if image_size < 16 or (bottleneck is not None and bottleneck < 1):
            raise ValueError("image_size is at least 16, the bottleneck at least 1 or None. "
                             f"Received: image_size={image_size}, bottleneck={bottleneck}")
        self.framing = framings.of_size(
            framing or framings.ResizeCrop(image_size, round(image_size * 9 / 8)), image_size)
        self.bottleneck, self.image_size, self.flip = bottleneck, image_size, flip
        self.constant_loss, self.tap = constant_loss, tap
        self.num_draws = self.framing.num_draws + 1

    @property
    def chance(self):
        """The loss of the best single colour; before `prepare` that of ImageNet."""
        return {"loss": 0.204 if self.constant_loss is None else self.constant_loss}

    def prepare(self, source, seed):
        """`constant_loss`, float64 (), measured on some of the pictures."""
        return {"constant_loss": constant_loss(self, source, seed)}

    def adopt(self, prepared):
        self.constant_loss = float(prepared["constant_loss"])

    def layer(self, augment=True):
        """The AutoencoderLayer; test pictures are not mirrored."""
        return AutoencoderLayer(self.flip and augment,
                                self.framing if augment else self.framing.evaluation())

    def objective(self):
        """Metrics: `psnr` and `diversity`, see `losses.reconstruction`."""
        return {"loss": reconstruction.Reconstruction(),
                "metrics": [keras.metrics.MeanMetricWrapper(reconstruction.psnr, name="psnr"),
                            keras.metrics.MeanMetricWrapper(reconstruction.diversity,
                                                            name="diversity")]}

    def attach(self, backbone, name="autoencoder_model", **kwargs):
        inputs = keras.Input((self.image_size, self.image_size, 3), name="images")
        x = backbone.extractor(self.tap or [*backbone.taps][-1])(inputs)
        if self.bottleneck:
            shape = x.shape[1:]
            x = layers.Flatten(name="flat")(x)
            x = layers.Dense(self.bottleneck, activation="relu", name="code",
                             kernel_initializer="he_normal")(x)
            x = layers.Dense(int(np.prod(shape)), activation="relu", name="decode_maps",
                             kernel_initializer="he_normal")(x)
            x = layers.Reshape(shape, name="decode_shape")(x)
        model = PretextModel(inputs, decode(x, self.image_size, channelwise=False), self, backbone,
                             name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def diagnose(self, trainer):
        """Names a collapse and a divergence."""
        health = trainer.health
        return failure(health) if health.images >= health.patience else None

    def preview(self, images, draws):
        layer, rows = self.layer(), []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            picture, _ = layer(ops.convert_to_tensor(image), ops.convert_to_tensor(draw))
            picture = ops.convert_to_numpy(picture)
            rows.append([("what is seen", picture), ("what is asked", picture)])
        return rows

    def get_config(self):
        return {"bottleneck": self.bottleneck, "image_size": self.image_size,
                "framing": framings.serialize(self.framing), "flip": self.flip,
                "constant_loss": self.constant_loss, "tap": self.tap}
