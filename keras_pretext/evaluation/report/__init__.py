"""A report on trained models: one HTML page and its JSON, and the scoreboard of all cards."""

from keras_pretext.evaluation.report.scoreboard import scoreboard
from keras_pretext.evaluation.report.write import write

__all__ = ["scoreboard", "write"]
