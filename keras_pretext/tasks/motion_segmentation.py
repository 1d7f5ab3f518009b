"""Which pixels of one frame will move (Pathak, Girshick, Dollar, Darrell and Hariharan, "Learning
Features by Watching Objects Move", CVPR 2017)."""

import math

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import framing as framings
from keras_pretext.tasks.base import FlipLayer, PretextModel, Task, registry
from keras_pretext.tasks.dense import at_every, centre_of

_LOOK = 500  # masks in which the share of what moves is measured


@keras.saving.register_keras_serializable(package="keras_pretext")
class MotionSegmentationLayer(FlipLayer):
    """A picture, and which of its pixels move.

    Takes uint8 `(H, W, 4)`: RGB and the mask, 255 where something moves. Inputs are uint8
    `(size, size, 3)`; pseudolabels float32 `(ceil(size / stride),) * 2`, 1 or 0 for every
    `stride`-th pixel from the first (1 where at least half of a shrunk pixel moves).
    """

    channels = 4

    def __init__(self, stride, flip, framing, **kwargs):
        super().__init__(flip, framing, **kwargs)
        self.stride = stride

    def puzzle(self, images, draws):
        images = self.mirrored(images, draws)
        mask = images[:, ::self.stride, ::self.stride, 3]
        return images[..., :3], ops.cast(mask >= 128, "float32")

    def get_config(self):
        return {**super().get_config(), "stride": self.stride}


@registry.register("motion_segmentation")
@keras.saving.register_keras_serializable(package="keras_pretext")
class MotionSegmentation(Task):
    """From one frame to the mask of what will move in it.

    The data have a mask for every picture (`source.dense` has "mask"): TFRecords with a
    `segmentation_mask`, such as `keras-pretext mine` writes, or an .npz with `mask`. The head is
    a 1x1 convolution on a tap, enlarged bilinearly to the mask's resolution where that is finer,
    and the loss logistic, of each pixel.

    Args:
        image_size: side of the framed picture in pixels.
        stride: of the pixels that are asked. The paper asks 56x56 of an AlexNet's 227 (that, and
            the exact input size, could not be confirmed).
        share: of the pixels that move, for `chance`; `prepare` measures it.
        framing: gives `image_size`; random resized crops by default.
        flip: mirror half of the pictures.
        tap: the backbone's tap under the head; its last one by default.

    Raises:
        ValueError: for options that make no sense; from `prepare`, for data without masks, or
            whose masks are all of one value.
    """

    name = "motion_segmentation"

    def __init__(self, image_size=224, stride=4, share=0.5, framing=None, flip=True, tap=None):
        if image_size < 1 or not 1 <= stride <= image_size:
            raise ValueError("stride is 1 to image_size. "
                             f"Received: image_size={image_size}, stride={stride}")
        if not 0 < share < 1:
            raise ValueError(f"share is between 0 and 1. Received: {share!r}")
        self.framing = framings.of_size(
            framings.RandomResizedCrop(image_size) if framing is None else framing, image_size)
        self.image_size, self.stride, self.share = image_size, stride, float(share)
        self.flip, self.tap = flip, tap
        self.num_draws = self.framing.num_draws + 1

    @property
    def chance(self):
        """Of the best answer that is the same for every pixel; `iou` of calling all moving."""
        p = self.share
        return {"loss": -p * math.log(p) - (1 - p) * math.log(1 - p), "accuracy": max(p, 1 - p),
                "iou": p}

    def prepare(self, source, seed):
        """`share` of the pixels that move, in up to 500 masks, evenly taken."""
        if "mask" not in source.dense:
            raise ValueError("motion_segmentation learns from pictures with masks of what moves: "
                             "TFRecords with `segmentation_mask` (keras-pretext mine writes some) "
                             f"or an .npz with `mask`. Received: {source.name!r}")
        count = min(_LOOK, source.num_examples)
        share = float(np.mean([np.mean(np.asarray(source.pixels("mask", int(k))) != 0)
                               for k in np.arange(count) * source.num_examples // count]))
        if not 0 < share < 1:
            moves = "nothing" if share == 0 else "everything"
            raise ValueError(f"{moves} moves in the {count} masks that were looked at, so there is "
                             f"nothing to learn. Received: {source.name!r}")
        return {"share": np.array(share)}

    def adopt(self, prepared):
        if "share" in prepared:
            self.share = float(prepared["share"])

    def layer(self, augment=True):
        if augment:
            return MotionSegmentationLayer(self.stride, self.flip, self.framing)
        return MotionSegmentationLayer(self.stride, False, self.framing.evaluation())

    def objective(self):
        """Metrics: `accuracy` of the pixels, `iou` of those that move."""
        return {"loss": keras.losses.BinaryCrossentropy(from_logits=True),
                "metrics": [keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy"),
                            keras.metrics.BinaryIoU(target_class_ids=[1], threshold=0.0,
                                                    name="iou")]}

    def attach(self, backbone, name="motion_segmentation_model", **kwargs):
        inputs = keras.Input((self.image_size, self.image_size, 3), name="images")
        tap = self.tap or [*backbone.taps][-1]
        x = layers.Conv2D(1, 1, dtype="float32", name="moves")(backbone.extractor(tap)(inputs))
        x = at_every(x, backbone.taps[tap].stride, self.stride, self.image_size,
                     centre_of(backbone, tap, self.image_size))[..., 0]
        model = PretextModel(inputs, x, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws):
        """Frames of four channels: what the network sees, and what it should answer."""
        layer, rows = self.layer(), []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            picture, mask = (ops.convert_to_numpy(x) for x in layer(
                ops.convert_to_tensor(image), ops.convert_to_tensor(draw)))
            shown = np.repeat((255 * mask[..., None]).astype("uint8"), 3, -1)
            rows.append([("picture", picture), ("will move", shown)])
        return rows

    def get_config(self):
        return {"image_size": self.image_size, "stride": self.stride, "share": self.share,
                "framing": framings.serialize(self.framing), "flip": self.flip, "tap": self.tap}
