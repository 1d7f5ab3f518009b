import keras
import numpy as np
import pytest

from keras_pretext import backbones, tasks
from keras_pretext.tasks.dense import at_every


def test_maps_at_other_places(rng):
    """A ramp stays a ramp; between cells values are the means of their neighbours."""
    ramp = np.arange(12, dtype="float32")[None, :, None, None] * 16 * np.ones((1, 12, 12, 1))
    found = np.asarray(at_every(ramp.astype("float32"), 16, 8, 180))
    np.testing.assert_allclose(found[0, :, 5, 0], np.minimum(np.arange(23) * 8, 176))
    maps = rng.normal(size=(2, 5, 4, 3)).astype("float32")
    double = np.asarray(at_every(maps, 8, 4, 33))
    assert double.shape == (2, 9, 9, 3)
    np.testing.assert_allclose(double[:, ::2, 0:7:2], maps, atol=1e-6)
    np.testing.assert_allclose(double[:, 1, 0], (maps[:, 0, 0] + maps[:, 1, 0]) / 2, atol=1e-6)
    np.testing.assert_allclose(double[:, 0, 7], maps[:, 0, 3], atol=1e-6)  # beyond the last cell
    np.testing.assert_allclose(at_every(maps, 4, 8, 17)[:, 1, 1], maps[:, 2, 2], atol=1e-6)
    moved = at_every(maps, 8, 8, 40, offset=4, start=4)  # the cells themselves
    np.testing.assert_array_equal(moved[:, :, :4], maps)
    between = np.asarray(at_every(maps, 8, 8, 40, offset=0, start=4))
    np.testing.assert_allclose(between[:, 0, 0], maps[:, :2, :2].mean((1, 2)), atol=1e-6)


def looks_at(model, place, side, shape, answer):
    """The mean row that an answer at row `place` depends on, rows brightened one by one."""
    for variable in model.weights:
        name = variable.path.split("/")[-1]
        if name == "kernel":
            variable.assign(np.full(variable.shape, 1 / np.prod(variable.shape[:-1])))
        elif name == "bias":
            variable.assign(np.zeros(variable.shape))
    images = np.full((side + 1, *shape), 180, np.uint8)
    for row in range(side):
        images[row, row] = 255
    found = np.asarray(answer(model, images))[:, place, place]
    weight = np.abs(found[:-1] - found[-1])
    return (weight * np.arange(side)).sum() / weight.sum()


def whole(model, images):
    out = model.predict(images, verbose=0)
    return out[..., 0] if out.ndim == 4 else out


def tile(model, images):
    grid = np.full((len(images), 4, 64, 64, 3), 180, np.uint8)
    grid[:, 0] = images
    order = np.zeros((len(images), 1, 4), np.int32) + np.arange(4, dtype="int32")
    given = {"tiles": grid, "permutations": order}
    out = model.predict({k: given[k] for k in model.input}, verbose=0)
    return np.asarray(out["colorization"] if isinstance(out, dict) else out)[:, 0, ..., 0]


PUZZLE = {"grid": 2, "cell": 70, "tile": 64, "heads": ["colorization"], "damage": ["grey"],
          "color_tap": "conv1"}  # a later tap sees the whole tile from every place


@pytest.mark.parametrize("task, options, shape, answer, place, at", [
    ("colorization", {"image_size": 112, "stride": 8}, (112, 1), whole, 7, 56),
    ("motion_segmentation", {"image_size": 112, "stride": 8}, (112, 3), whole, 7, 56),
    ("damaged_jigsaw", PUZZLE, (64, 3), tile, 1, 12),
    ("damaged_jigsaw", PUZZLE, (64, 3), tile, 6, 52)])
def test_an_answer_depends_on_the_pixels_around_its_place(task, options, shape, answer, place, at):
    """An AlexNet does not pad by half its kernels: cell 0 of conv5 is centred 15 pixels inside."""
    keras.utils.set_random_seed(0)
    side = shape[0]
    backbone = backbones.get("alexnet", flavour="rotnet" if side == 112 else "cfn", fc_units=())
    model = tasks.get(task, **options).attach(backbone)
    assert looks_at(model, place, side, (side, *shape), answer) == pytest.approx(at, abs=3)
