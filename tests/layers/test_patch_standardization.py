import numpy as np
import pytest

from keras_pretext.layers.patch_standardization import PatchStandardization

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)


def test_inside_the_backbone_every_channel_of_every_patch_has_mean_0_and_deviation_1(rng):
    patches = (rng.normal(90, 20, (2, 9, 16, 16, 3)) * rng.uniform(0.5, 1.5, (2, 9, 1, 1, 3)))
    patches = np.clip(patches, 0, 255).astype("uint8")
    inside = (np.asarray(PatchStandardization(MEAN, STD)(patches)) - MEAN) / STD
    np.testing.assert_allclose(inside.mean((2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(inside.std((2, 3)), 1, atol=1e-3)
    x = patches.astype("float64")
    expected = (x - x.mean((2, 3), keepdims=True)) / x.std((2, 3), keepdims=True)
    np.testing.assert_allclose(inside, expected, atol=1e-3)


def test_one_colour_becomes_the_mean_and_nothing_is_nan():
    patches = np.full((1, 8, 8, 3), 7, "uint8")
    np.testing.assert_allclose(PatchStandardization(MEAN, STD)(patches)[0, 0, 0], MEAN)


def test_only_the_mean(rng):
    patches = rng.integers(0, 256, (3, 8, 8, 3)).astype("uint8")
    found = np.asarray(PatchStandardization(MEAN, STD, scale=False)(patches))
    expected = patches - patches.mean((1, 2), keepdims=True) + MEAN
    np.testing.assert_allclose(found, expected, atol=1e-3)


def plane(patch):
    """The least-squares plane of one channel `(h, w)`."""
    y, x = np.indices(patch.shape)
    terms = np.stack([np.ones(patch.size), y.ravel(), x.ravel()], 1)
    return (terms @ np.linalg.lstsq(terms, patch.ravel(), rcond=None)[0]).reshape(patch.shape)


def test_flat_field_divides_by_the_least_squares_plane_and_subtracts_what_is_left(rng):
    slope = np.linspace(-40, 40, 20)[None, :, None, None] * rng.uniform(-1, 1, (2, 3, 1, 1, 3))
    across = np.linspace(-30, 30, 16)[:, None] * rng.uniform(-1, 1, (2, 3, 1, 1, 3))
    patches = np.clip(rng.normal(128, 15, (2, 3, 20, 16, 3)) + slope + across, 0, 255)
    patches = patches.astype("uint8")
    layer = PatchStandardization(MEAN, STD, flat_field=True)
    inside = (np.asarray(layer(patches)) - MEAN) / STD
    for index in np.ndindex(2, 3):
        for channel in range(3):
            x = patches[index][..., channel].astype("float64")
            x = x / np.clip(plane(x) / x.mean(), 0.5, 2.0)
            x = x - plane(x)
            expected = x / x.std()
            np.testing.assert_allclose(inside[index][..., channel], expected, atol=2e-3)
            np.testing.assert_allclose(plane(inside[index][..., channel]), 0, atol=1e-3)


def test_flat_field_takes_away_a_vignette_and_the_lower_contrast_in_its_corners(rng):
    """What is left of a shaded picture is what there was without the shade."""
    patches = rng.normal(128, 25, (4, 24, 24, 3))
    shade = 1 - 0.5 * np.linspace(0, 1, 24)[:, None, None] * np.ones((24, 24, 1))

    def inside(x, **options):
        return (np.asarray(PatchStandardization(MEAN, STD, **options)(x)) - MEAN) / STD

    flat = inside(patches, flat_field=True)
    np.testing.assert_allclose(inside(patches * shade, flat_field=True), flat, atol=0.25)
    upper, lower = (inside(patches * shade, flat_field=True)[:, rows].std()
                    for rows in (slice(0, 12), slice(12, 24)))
    np.testing.assert_allclose(upper, lower, rtol=0.05)
    assert np.abs(inside(patches * shade) - flat).max() > 1


def test_flat_field_of_extremes_is_finite_and_one_colour_stays_0():
    layer = PatchStandardization(MEAN, STD, flat_field=True)
    for value in (0, 1, 255):
        patches = np.full((1, 8, 8, 3), value, "uint8")
        np.testing.assert_allclose(np.asarray(layer(patches))[0, 0, 0], MEAN, rtol=1e-6)
    step = np.zeros((1, 8, 8, 3), "uint8")
    step[:, 4:] = 255  # its plane falls below 0
    found = np.asarray(layer(step))
    assert np.isfinite(found).all() and np.abs(found).max() < 1000


def test_the_config_and_the_weights_file_keep_flat_field(tmp_path, rng):
    import keras

    patches = rng.integers(0, 256, (2, 8, 8, 3)).astype("uint8")
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    model = keras.Model(inputs, PatchStandardization(MEAN, STD, flat_field=True)(inputs))
    model.save(tmp_path / "flat.keras")
    again = keras.saving.load_model(tmp_path / "flat.keras")
    np.testing.assert_array_equal(again(patches), model(patches))
    assert again.layers[-1].get_config()["flat_field"] is True


@pytest.mark.parametrize("name, options, shape", [
    ("exemplar", {"num_classes": 4, "patch": 16}, (2, 16, 16, 3)),
    ("exemplar_triplet", {"copies": 2, "image_size": 16, "dim": 4}, (2, 2, 16, 16, 3)),
    ("counting", {"tile": 16, "counts": 4}, (2, 5, 16, 16, 3))])
def test_a_task_that_standardises_does_not_see_a_cast_of_colour(name, options, shape, rng):
    import keras

    from keras_pretext import backbones, tasks

    backbone = backbones.get("network_in_network", blocks=3)
    pictures = rng.integers(60, 160, shape).astype("float32")
    changed = {}
    for standardize in (True, False):
        task = tasks.get(name, standardize=standardize, **options)
        assert tasks.get(name, **task.get_config()) == task
        assert task.get_config()["standardize"] is standardize
        keras.utils.set_random_seed(0)
        model = task.attach(backbone)
        seen, cast = (np.asarray(model(x)) for x in (pictures, pictures + [30.0, -10.0, 5.0]))
        changed[standardize] = np.abs(seen - cast).max() / np.abs(seen).max()
    assert changed[True] < 1e-3 < 1e-2 < changed[False]
