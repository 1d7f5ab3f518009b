"""Pictures of what tasks ask and of what networks learnt."""

from keras_pretext.visualize.colorize import colorize
from keras_pretext.visualize.filters import first_layer_filters
from keras_pretext.visualize.inpainting import inpaint
from keras_pretext.visualize.puzzles import puzzle_sheet

__all__ = ["colorize", "first_layer_filters", "inpaint", "puzzle_sheet"]
