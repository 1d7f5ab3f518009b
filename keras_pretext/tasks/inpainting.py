"""Inpainting: tell what was cut out of a picture from what is around it (Pathak et al., 2016)."""

import keras
import numpy as np
from keras import ops

from keras_pretext.image import framing as framings
from keras_pretext.image import masks
from keras_pretext.losses import reconstruction
from keras_pretext.registry import unknown_name
from keras_pretext.tasks.adversarial import AdversarialModel
from keras_pretext.tasks.base import FlipLayer, PretextModel, Task, registry
from keras_pretext.tasks.decoders import decode, discriminator

REGIONS = ("central", "blocks", "random")
_DRAWS = {"central": 0, "blocks": masks.BLOCK_DRAWS, "random": masks.REGION_DRAWS}
_SAMPLE = 512  # pictures of which the loss of one constant colour is measured
_VARIANCE = 0.204  # of ImageNet's pixels in [-1, 1]


@keras.saving.register_keras_serializable(package="keras_pretext")
class InpaintingLayer(FlipLayer):
    """A picture without some of its pixels, and these.

    Inputs are uint8 `(size, size, 3)`, the dropped pixels of one colour; pseudolabels uint8
    `(region, region, 4)` as `losses.reconstruction` takes them: the colours, and 1 at dropped
    pixels, 2 in the frame around them, 0 elsewhere. The first draw mirrors, the rest are the
    mask's.
    """

    def __init__(self, region, region_size, overlap, fill, flip, framing, **kwargs):
        super().__init__(flip, framing, _DRAWS[region], **kwargs)
        self.region, self.region_size, self.overlap = region, region_size, overlap
        self.fill = tuple(fill)

    def dropped(self, draws):
        """Bool `(B, size, size)`: the pixels that are cut out, for the draws of `puzzle`."""
        size, draws = self.framing.size, draws[:, 1:]
        if self.region == "central":
            return masks.central_block(ops.shape(draws)[0], size,
                                       self.region_size - 2 * self.overlap)
        if self.region == "blocks":
            return masks.random_blocks(draws[:, :masks.BLOCK_DRAWS], size)
        return masks.random_regions(draws[:, :masks.REGION_DRAWS], size)

    def puzzle(self, images, draws):
        images = self.mirrored(images, draws)
        hole = self.dropped(draws)
        fill = ops.convert_to_tensor(np.array(self.fill, "uint8"))
        inputs = ops.where(hole[..., None], fill, images)
        kind = ops.where(hole, reconstruction.DROPPED,
                         ops.where(masks.grown(hole, self.overlap), reconstruction.FRAME,
                                   reconstruction.KEPT))
        labels = ops.concatenate([images, ops.cast(kind[..., None], "uint8")], -1)
        start = (self.framing.size - self.region_size) // 2
        end = start + self.region_size
        return inputs, labels[:, start:end, start:end]

    def get_config(self):
        return {**super().get_config(), "region": self.region, "region_size": self.region_size,
                "overlap": self.overlap, "fill": self.fill}


@registry.register("inpainting")
@keras.saving.register_keras_serializable(package="keras_pretext")
class Inpainting(Task):
    """Paint what was cut out: its squared error, and a discriminator that it is to deceive.

    The network is an encoder (the backbone), and a decoder of `tasks.decoders`: for a code of 1x1,
    as the context_encoder's bottleneck, the inpainting network's; for maps, as AlexNet's pool5,
    the one with the channel-wise fully connected layer. It sees the picture with the hole filled
    by one colour, and not the mask. With "central" it answers the central square of half the
    picture's side, else the whole picture; only what was dropped, and the frame, is compared. The
    discriminator sees this region only, grey around it, so that no seam tells.

    Args:
        region: "central" (a block), "blocks" (four random ones) or "random" (a random shape, 20 to
            30 % of the picture); a mask for each picture.
        overlap: pixels of the frame around the hole that are to be answered too, and weigh
            `frame_weight` in the loss; of a central block the hole becomes smaller instead.
        adversarial: weight of the adversarial loss, 0.001 in the paper, 0 for none; the squared
            error weighs one minus it.
        rate_ratio: the learning rate of the recipe is the generator's and so many times the
            discriminator's.
        image_size: side of the framed picture in pixels.
        fill: colour of the hole, RGB.
        framing: by default short side 350 for pictures of 128 (the paper), else 9/8 of the size,
            and a random square of that.
        flip: mirror half of the pictures.
        frame_weight: see `losses.reconstruction.Reconstruction`.
        constant_loss: the loss of the best single colour, `task.chance`; `prepare` measures it.
        width: channels that the inpainting network's decoder ends with, and the discriminator
            begins with.
        tap: the backbone's tap under the decoder; its last one by default.

    Raises:
        ValueError: for options that make no sense.
    """

    name = "inpainting"

    def __init__(self, region="central", overlap=4, adversarial=0.001, rate_ratio=10.0,
                 image_size=128, fill=(117, 104, 123), framing=None, flip=True, frame_weight=10.0,
                 constant_loss=None, width=64, tap=None):
        if region not in REGIONS:
            raise ValueError(unknown_name("region", region, REGIONS))
        if image_size < 16 or width < 1:
            raise ValueError("image_size is at least 16, width at least 1. "
                             f"Received: image_size={image_size}, width={width}")
        self.region_size = image_size // 4 * 2 if region == "central" else image_size
        if not 0 <= overlap < self.region_size / 2:
            raise ValueError("the overlap leaves something of the hole: it is at least 0 and less "
                             f"than half of the {self.region_size} pixels of the region. "
                             f"Received: {overlap}")
        if not 0 <= adversarial < 1 or not rate_ratio > 0:
            raise ValueError("adversarial is a weight in [0, 1), rate_ratio positive. Received: "
                             f"adversarial={adversarial}, rate_ratio={rate_ratio}")
        if len(fill) != 3 or not all(0 <= part <= 255 for part in fill):
            raise ValueError(f"fill is a colour, three numbers in 0..255. Received: {fill!r}")
        reconstruction.Reconstruction(frame_weight)  # refuses one that makes no sense
        if framing is None:
            short = 350 if image_size == 128 else round(image_size * 9 / 8)
            framing = framings.ResizeCrop(image_size, short)
        self.framing = framings.of_size(framing, image_size)
        self.region, self.overlap, self.adversarial = region, overlap, adversarial
        self.rate_ratio, self.image_size, self.fill = rate_ratio, image_size, tuple(fill)
        self.flip, self.frame_weight, self.width, self.tap = flip, frame_weight, width, tap
        self.constant_loss = constant_loss
        self.num_draws = self.layer().num_draws

    @property
    def chance(self):
        """The loss of the best single colour."""
        return {"loss": _VARIANCE if self.constant_loss is None else self.constant_loss}

    def prepare(self, source, seed):
        """`constant_loss`, float64 (): see `constant_loss` below, of some of the pictures."""
        return {"constant_loss": constant_loss(self, source, seed)}

    def adopt(self, prepared):
        self.constant_loss = float(prepared["constant_loss"])

    def layer(self, augment=True):
        """The InpaintingLayer; test pictures are not mirrored, but have holes by their draws."""
        framing = self.framing if augment else self.framing.evaluation()
        return InpaintingLayer(self.region, self.region_size, self.overlap, self.fill,
                               self.flip and augment, framing)

    def objective(self):
        """Metrics: `psnr` and `diversity`, see `losses.reconstruction`."""
        return {"loss": reconstruction.Reconstruction(self.frame_weight),
                "metrics": [keras.metrics.MeanMetricWrapper(reconstruction.psnr, name="psnr"),
                            keras.metrics.MeanMetricWrapper(reconstruction.diversity,
                                                            name="diversity")]}

    def truth(self, labels):
        """The true pixels in [-1, 1] of the pseudolabels."""
        return reconstruction.pixels(labels)

    def judged(self, labels, pixels):
        """What the discriminator sees: the pixels to be answered, 0 elsewhere."""
        return reconstruction.compared(labels) * ops.cast(pixels, "float32")

    def attach(self, backbone, name="inpainting_model", **kwargs):
        """An AdversarialModel, or a PretextModel where `adversarial` is 0."""
        inputs = keras.Input((self.image_size, self.image_size, 3), name="images")
        x = backbone.extractor(self.tap or [*backbone.taps][-1])(inputs)
        if len(x.shape) != 4:
            raise ValueError("the decoder needs a tap that is a map. "
                             f"Received: shape {tuple(x.shape)}")
        outputs = decode(x, self.region_size, self.width)
        if self.adversarial:
            model = AdversarialModel(
                inputs, outputs, self, backbone, discriminator(self.region_size, self.width),
                (1 - self.adversarial, self.adversarial), 1 / self.rate_ratio, name=name, **kwargs)
        else:
            model = PretextModel(inputs, outputs, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def diagnose(self, trainer):
        """Names a collapse, a divergence, and a discriminator that has won."""
        means, health = trainer.health.means, trainer.health
        if health.images < health.patience:
            return None
        if failure(health):
            return failure(health)
        if means.get("discriminator_accuracy", 0) > 0.99 and means["discriminator_loss"] < 0.1:
            return (f"the discriminator has won (right in {means['discriminator_accuracy']:.1%}, "
                    f"loss {means['discriminator_loss']:.3f}): a larger rate_ratio slows it")
        return None

    def preview(self, images, draws):
        """The picture, what the network sees, and what it is to answer."""
        layer, rows = self.layer(), []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            image, draw = ops.convert_to_tensor(image), ops.convert_to_tensor(draw)
            framed = layer.framing(image, draw[:layer.framing.num_draws])
            seen, labels = (ops.convert_to_numpy(x) for x in layer.framed(framed, draw))
            kind = labels[..., 3:]
            wanted = np.where(kind == reconstruction.KEPT, 255, labels[..., :3])
            row = [("picture", ops.convert_to_numpy(framed)), ("what is seen", seen),
                   ("what is asked", wanted.astype("uint8"))]
            if self.overlap:
                weights = np.where(kind == reconstruction.FRAME, 255, 110 * kind)
                row.append(("frame (white) and hole", np.repeat(weights, 3, -1).astype("uint8")))
            rows.append(row)
        return rows

    def get_config(self):
        return {"region": self.region, "overlap": self.overlap, "adversarial": self.adversarial,
                "rate_ratio": self.rate_ratio, "image_size": self.image_size, "fill": self.fill,
                "framing": framings.serialize(self.framing), "flip": self.flip,
                "frame_weight": self.frame_weight, "constant_loss": self.constant_loss,
                "width": self.width, "tap": self.tap}


def failure(health):
    """The health line of painted pixels that are all alike, or worse than one colour; or None.

    One and the same grey for all is what chance means, and called so.
    """
    level, spread, loss = health.chance["loss"], health.means["diversity"], health.mean
    grey = 0.98 * level < loss < 1.25 * level and health.best > 0.8 * level
    if spread < 0.05 and not grey:
        return (f"collapsed: every picture gets nearly the same answer (diversity {spread:.1%} of "
                f"the truth's, loss {loss / level:.0%} of chance)")
    if loss > 1.25 * level and loss > 1.5 * health.best:
        return (f"diverged: loss {loss:.3f} is {loss / level:.1f} times that of one colour "
                f"({level:.3f}): a lower learning rate")
    return None


def constant_loss(task, source, seed):
    """The task's loss where every pixel is answered by the best single colour.

    Measured on up to 512 pictures, spread over the source, that the task's layer has framed as for
    testing.
    """
    layer, loss = task.layer(augment=False), task.objective()["loss"]
    count = min(source.num_examples, _SAMPLE)
    index = np.linspace(0, source.num_examples - 1, count).astype("int64")
    rng, labels = np.random.Generator(np.random.Philox(key=[seed, 1 << 42])), []
    for _, images in source.pictures(index):
        draws = rng.random((len(images), layer.num_draws), dtype="float32")
        labels.append(ops.convert_to_numpy(
            layer(ops.convert_to_tensor(images), ops.convert_to_tensor(draws))[1]))
    labels = np.concatenate(labels)
    weight = ops.convert_to_numpy(reconstruction.compared(labels, loss.frame_weight))
    x = labels[..., :3] / np.float32(127.5) - 1
    color = (weight * x).sum((0, 1, 2)) / max(weight.sum(), 1.0)
    answers = np.broadcast_to(color.astype("float32"), x.shape)
    total = sum(float(loss(labels[k:k + 64], answers[k:k + 64])) * len(labels[k:k + 64])
                for k in range(0, count, 64))
    return np.float64(total / count)
