"""A sheet of puzzles: what a task makes of some pictures, with the answers."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK, PAPER, GOOD, BAD = "black", "white", (0, 120, 60), (190, 30, 30)


def puzzle_sheet(rows, side=128, marks=None):
    """Draws `Task.preview`'s rows of (title, picture) as one picture.

    Args:
        rows: a list, one an image, of lists of (title, uint8 HWC array).
        side: width of a picture on the sheet, in pixels.
        marks: the same shape: titles are green where True, red where False, black where None.

    Returns:
        a PIL image.
    """
    font, line, gap = ImageFont.load_default(13), 20, 8
    width = max(len(row) for row in rows) * (side + gap) + gap
    sheet = Image.new("RGB", (width, len(rows) * (side + line + gap) + gap), PAPER)
    draw = ImageDraw.Draw(sheet)
    for r, row in enumerate(rows):
        for c, (title, picture) in enumerate(row):
            x, y = gap + c * (side + gap), gap + r * (side + line + gap)
            ink = {None: INK, True: GOOD, False: BAD}[None if marks is None else marks[r][c]]
            draw.text((x, y), title, fill=ink, font=font)
            picture = Image.fromarray(np.asarray(picture, np.uint8))
            kind = Image.Resampling.NEAREST if picture.width < side else Image.Resampling.LANCZOS
            sheet.paste(picture.resize((side, side), kind), (x, y + line))
    return sheet
