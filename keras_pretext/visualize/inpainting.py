"""What a trained model paints where something is cut out of a picture."""

import numpy as np

from keras_pretext.tasks.inpainting import Inpainting


def inpaint(model, image, box=None, mask=None):
    """A picture, a part of which is painted anew from what is around it.

    The network sees a square around the part, of twice its longer side (a little more where the
    task has an overlap), mirrored at the picture's edges, at its own size. Only what is to be
    painted changes.

    Args:
        model: a PretextModel of `Inpainting`, as `load_run` or `zoo.load(name, head=True)` give.
        image: uint8 `(height, width, 3)`, or `(height, width)`, grey.
        box: `(left, top, width, height)` in pixels.
        mask: bool `(height, width)` in place of a box, True where it is to be painted. A model of
            central blocks sees nothing of the square around them.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: for another task's model, what is no picture, a box that is not inside the
            picture, an empty mask or one that leaves nothing of the picture.
    """
    task = getattr(model, "task", None)
    if not isinstance(task, Inpainting):
        raise ValueError("pictures are inpainted by a model of the task 'inpainting'. Received: "
                         f"a model of {getattr(task, 'name', None) or type(model).__name__!r}")
    image = np.asarray(image)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, -1)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError("a picture is uint8 (height, width, 3) or (height, width). "
                         f"Received: {image.dtype} {image.shape}")
    mask = _mask(image.shape[:2], box, mask)
    window, place, seen = _window(task, image, mask)
    answer = np.asarray(model(seen[None], training=False))[0]
    painted = _at(window, answer, task, place)
    out = image.copy()
    out[mask] = painted[mask]
    return out
