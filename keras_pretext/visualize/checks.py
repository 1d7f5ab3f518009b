"""What the pictures' makers take: one clear error for anything else."""

import numpy as np


def squares(images):
    """uint8 `(n, size, size, 3)`, square: as they are. Raises ValueError for others, or none."""
    images = np.asarray(images)
    if (images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8
            or images.shape[1] != images.shape[2] or not images.size):
        raise ValueError("pictures are uint8 (n, size, size, 3), square, at least one. "
                         f"Received: {images.dtype} {images.shape}")
    return images


def rgb(image):
    """uint8 `(height, width, 3)` of that, or of a grey `(height, width)`. Raises ValueError."""
    image = np.asarray(image)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, -1)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError("a picture is uint8 (height, width, 3) or (height, width). "
                         f"Received: {image.dtype} {image.shape}")
    return image


def task_of(model, kind):
    """The model's task, of the class `kind`. Raises ValueError for a model of another."""
    task = getattr(model, "task", None)
    if not isinstance(task, kind):
        raise ValueError(f"asked for is a model of the task {kind.name!r}. Received: a model of "
                         f"{getattr(task, 'name', None) or type(model).__name__!r}")
    return task
