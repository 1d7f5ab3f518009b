"""Pictures of what tasks ask and of what networks learnt."""

from keras_pretext.visualize.puzzles import puzzle_sheet

__all__ = ["puzzle_sheet"]
