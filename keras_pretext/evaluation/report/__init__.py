"""A report on trained models: one HTML page and its JSON, and the scoreboard of all cards."""

from keras_pretext.evaluation.report.scoreboard import scoreboard, with_entries
from keras_pretext.evaluation.report.write import write

__all__ = ["scoreboard", "with_entries", "write"]
