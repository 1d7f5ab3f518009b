"""Protocols of the papers: what the frozen or fine-tuned features of a backbone are worth.

The functions bear their modules' names, so they are imported here at once: imported on first use,
`evaluation.linear` would be the module or the function depending on who came first. The package
`keras_pretext` itself loads this part on first use.
"""

from keras_pretext.evaluation.conv import conv
from keras_pretext.evaluation.features import features
from keras_pretext.evaluation.knn import knn
from keras_pretext.evaluation.linear import linear
from keras_pretext.evaluation.nonlinear import nonlinear
from keras_pretext.evaluation.probe import ProbeResult
from keras_pretext.evaluation.semi_supervised import semi_supervised

__all__ = ["ProbeResult", "conv", "features", "knn", "linear", "nonlinear", "semi_supervised"]
