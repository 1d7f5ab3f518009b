"""Pretext tasks: from an unlabelled image and a few random numbers to (input, pseudolabel)."""

from keras_pretext import _backend

_backend.require()

from keras_pretext.tasks.autoencoder import Autoencoder  # noqa: E402
from keras_pretext.tasks.base import PretextLayer, PretextModel, Task, registry  # noqa: E402
from keras_pretext.tasks.classification import Classification  # noqa: E402
from keras_pretext.tasks.colorization import Colorization  # noqa: E402
from keras_pretext.tasks.counting import Counting  # noqa: E402
from keras_pretext.tasks.damaged_jigsaw import DamagedJigsaw  # noqa: E402
from keras_pretext.tasks.deep_cluster import DeepCluster  # noqa: E402
from keras_pretext.tasks.ensemble import Ensemble  # noqa: E402
from keras_pretext.tasks.exemplar import Exemplar  # noqa: E402
from keras_pretext.tasks.exemplar_triplet import ExemplarTriplet  # noqa: E402
from keras_pretext.tasks.inpainting import Inpainting  # noqa: E402
from keras_pretext.tasks.jigsaw import Jigsaw  # noqa: E402
from keras_pretext.tasks.motion_segmentation import MotionSegmentation  # noqa: E402
from keras_pretext.tasks.noise_targets import NoiseTargets  # noqa: E402
from keras_pretext.tasks.relative_patch import RelativePatch  # noqa: E402
from keras_pretext.tasks.rotation import Rotation  # noqa: E402
from keras_pretext.tasks.split_brain import SplitBrain  # noqa: E402
from keras_pretext.tasks.transitive import Transitive  # noqa: E402

__all__ = ["Autoencoder", "Classification", "Colorization", "Counting", "DamagedJigsaw",
           "DeepCluster", "Ensemble", "Exemplar", "ExemplarTriplet", "Inpainting", "Jigsaw",
           "MotionSegmentation", "NoiseTargets", "PretextLayer", "PretextModel", "RelativePatch",
           "Rotation", "SplitBrain", "Task", "Transitive", "get", "list"]


def get(name, /, **config):
    """The task `name` with that config.

    Raises ValueError, with the nearest name, for another one or an option that it does not take.
    """
    return registry.make(name, config)


def list():
    """The names that `get` takes."""
    return registry.names()
