"""Backbones: from an image to an ordered dict of named feature maps (taps)."""

from keras_pretext import _backend

_backend.require()

from keras_pretext.backbones.alexnet import AlexNet  # noqa: E402
from keras_pretext.backbones.base import Backbone, Tap, in_color, registry  # noqa: E402
from keras_pretext.backbones.colorization_net import ColorizationNet  # noqa: E402
from keras_pretext.backbones.context_encoder import ContextEncoder  # noqa: E402
from keras_pretext.backbones.exemplar_cnn import ExemplarCNN  # noqa: E402
from keras_pretext.backbones.network_in_network import NetworkInNetwork  # noqa: E402
from keras_pretext.backbones.resnet import ResNet  # noqa: E402
from keras_pretext.backbones.split_alexnet import SplitAlexNet  # noqa: E402
from keras_pretext.backbones.vgg import VGG  # noqa: E402

__all__ = ["VGG", "AlexNet", "Backbone", "ColorizationNet", "ContextEncoder", "ExemplarCNN",
           "NetworkInNetwork", "ResNet", "SplitAlexNet", "Tap", "get", "in_color", "list"]


def get(name, /, **config):
    """The backbone `name` with that config.

    Raises ValueError, with the nearest name, for another one or an option that it does not take.
    """
    return registry.make(name, config)


def list():
    """The names that `get` takes."""
    return registry.names()
