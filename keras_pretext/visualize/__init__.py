"""Pictures of what tasks ask and of what networks learnt."""

from keras_pretext.backbones.receptive import receptive_field
from keras_pretext.visualize.activations import activations, top_activations
from keras_pretext.visualize.attention import attention, attention_maps, rotation_equivariance
from keras_pretext.visualize.colorize import colorize
from keras_pretext.visualize.filters import first_layer_filters
from keras_pretext.visualize.inpainting import inpaint
from keras_pretext.visualize.neighbours import nearest_crops, neighbours
from keras_pretext.visualize.puzzles import puzzle_sheet
from keras_pretext.visualize.tsne import scatter, tsne

__all__ = ["activations", "attention", "attention_maps", "colorize", "first_layer_filters",
           "inpaint", "nearest_crops", "neighbours", "puzzle_sheet", "receptive_field",
           "rotation_equivariance", "scatter", "top_activations", "tsne"]
