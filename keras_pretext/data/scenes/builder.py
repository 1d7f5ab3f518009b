"""The scenes as a TFDS builder: `Scenes(config="32")`, `"64"` or `"128"`."""

import dataclasses

import tensorflow_datasets as tfds

from keras_pretext.data.scenes import render

_CHUNK = 500


@dataclasses.dataclass(kw_only=True)
class ScenesConfig(tfds.core.BuilderConfig):
    """The side of the pictures, in pixels."""

    size: int = 32


class Scenes(tfds.core.GeneratorBasedBuilder):
    """Procedural scenes of ten classes, drawn when the data set is prepared."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        ScenesConfig(name=str(size), size=size, description=f"{size} x {size} pixels.")
        for size in (32, 64, 128)]

    def _info(self):
        size = self.builder_config.size
        return tfds.core.DatasetInfo(
            builder=self,
            description="Small scenes rendered procedurally: ten kinds of things that have an up "
                        "side, before cluttered backgrounds. Drawn on preparation, from a seed.",
            features=tfds.features.FeaturesDict({
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=(size, size, 3), encoding_format="png"),
                "label": tfds.features.ClassLabel(names=list(render.CLASS_NAMES)),
            }),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {split: self._generate_examples(split) for split in render.SPLITS}

    def _generate_examples(self, split):
        for start in range(0, render.SPLITS[split], _CHUNK):
            index = range(start, min(start + _CHUNK, render.SPLITS[split]))
            images, labels = render.render(split, index, self.builder_config.size)
            for i, image, label in zip(index, images, labels, strict=True):
                name = f"{split}_{i:05d}"
                yield name, {"id": name, "image": image, "label": int(label)}
