"""Protocols of the papers: what the frozen or fine-tuned features of a backbone are worth.

The functions bear their modules' names, so they are imported here at once: imported on first use,
`evaluation.linear` would be the module or the function depending on who came first. The package
`keras_pretext` itself loads this part on first use.
"""

from keras_pretext.evaluation.conv import conv
from keras_pretext.evaluation.depth import depth
from keras_pretext.evaluation.detection.fast_rcnn import fast_rcnn
from keras_pretext.evaluation.detection.faster_rcnn import faster_rcnn
from keras_pretext.evaluation.exemplar_svm import exemplar_svm
from keras_pretext.evaluation.features import features
from keras_pretext.evaluation.knn import knn
from keras_pretext.evaluation.lasso import lasso
from keras_pretext.evaluation.linear import linear
from keras_pretext.evaluation.linear_variants import (
    deepcluster_linear,
    goyal_linear,
    revisiting_linear,
    zhang_linear,
)
from keras_pretext.evaluation.nonlinear import nonlinear
from keras_pretext.evaluation.probe import ProbeResult
from keras_pretext.evaluation.retrain import retrain
from keras_pretext.evaluation.segmentation import segmentation
from keras_pretext.evaluation.semi_supervised import semi_supervised
from keras_pretext.evaluation.surface_normals import surface_normals
from keras_pretext.evaluation.voc_classification import voc_classification
from keras_pretext.evaluation.voc_svm import low_shot, voc_svm
from keras_pretext.registry import unknown_name

__all__ = ["ProbeResult", "conv", "deepcluster_linear", "depth", "exemplar_svm", "fast_rcnn",
           "faster_rcnn", "features", "goyal_linear", "knn", "lasso", "linear", "low_shot",
           "nonlinear", "protocol", "retrain", "revisiting_linear", "segmentation",
           "semi_supervised", "surface_normals", "voc_classification", "voc_svm", "zhang_linear"]

PROTOCOLS = {
    "gidaris2018-linear": linear, "gidaris2018-nonlinear": nonlinear, "gidaris2018-conv": conv,
    "gidaris2018-semi-supervised": semi_supervised, "knn-cosine": knn,
    "zhang2016-linear": zhang_linear, "deepcluster2018-linear": deepcluster_linear,
    "kolesnikov2019-linear": revisiting_linear, "goyal2019-linear": goyal_linear,
    "noroozi2016-nonlinear": retrain, "dosovitskiy2014-svm": exemplar_svm,
    "goyal2019-voc07-svm": voc_svm, "goyal2019-voc07-low-shot": low_shot,
    "krahenbuhl2015-voc07-cls": voc_classification, "long2015-fcn": segmentation,
    "girshick2015-fast-rcnn": fast_rcnn, "wang2017-surface-normals": surface_normals,
    "fcn-nyu-depth": depth, "ren2015-faster-rcnn": faster_rcnn, "doersch2017-lasso": lasso,
}


def protocol(name):
    """The function that measures by a protocol: its name on results, or the function's own.

    Raises ValueError, with the nearest name, for one that is not known.
    """
    functions = {function.__name__: function for function in PROTOCOLS.values()}
    known = {**functions, **PROTOCOLS}
    if name not in known:
        raise ValueError(unknown_name("protocol", name, known))
    return known[name]
