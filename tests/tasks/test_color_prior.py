import json

import numpy as np
import pytest

from keras_pretext.data.arrays import ArraySource
from keras_pretext.image.color import AB_BINS, nearest_bin, to_lab
from keras_pretext.tasks import color_prior


def test_counts_are_those_of_a_search_and_grey_pictures_are_left_out(rng):
    images = rng.integers(0, 256, (6, 10, 9, 3)).astype("uint8")
    images[2] = images[2, ..., :1]
    found = color_prior.count(ArraySource(images))
    assert (found["images"], found["grey"]) == (6, 1)
    expected = np.zeros(313, int)
    for image in np.delete(images, 2, 0):
        for y in (0, 4, 8):
            for x in (0, 4, 8):
                lab = np.asarray(to_lab(image[y, x].astype("float32") / 255))
                expected[((AB_BINS - lab[1:]) ** 2).sum(1).argmin()] += 1
    np.testing.assert_array_equal(found["counts"], expected)


def test_some_pictures_are_spread_over_all_of_them(rng):
    images = np.zeros((100, 4, 4, 3), "uint8")
    images[50:] = [255, 0, 0]
    found = color_prior.count(ArraySource(images), images=10)
    assert (found["images"], found["grey"]) == (10, 5)


def test_smoothing_is_in_the_plane_and_keeps_the_mass():
    """T-22. A bin's neighbours in ab get exp(-2) of it, whatever their place in the list."""
    counts = np.zeros(313)
    centre = int(nearest_bin(np.array([[0.0, 0.0]]))[0])
    counts[centre] = 8
    p = color_prior.smoothed(counts)
    assert p.sum() == pytest.approx(1)
    place = {tuple(ab): k for k, ab in enumerate(AB_BINS.astype(int).tolist())}
    for ab in ((10, 0), (-10, 0), (0, 10), (0, -10)):
        assert p[place[ab]] / p[centre] == pytest.approx(np.exp(-2))
    assert p[place[10, 10]] / p[centre] == pytest.approx(np.exp(-4))
    assert (p > 0).all()


@pytest.mark.parametrize("mix", [0.1, 0.5, 1.0])
def test_weights_have_unit_expectation_and_are_finite(rng, mix):
    counts = rng.integers(0, 1000, 313) * (rng.random(313) < 0.6)
    weights = color_prior.rebalancing(counts, mix)
    p = color_prior.smoothed(counts)
    assert (p * weights).sum() == pytest.approx(1)
    assert np.isfinite(weights).all() and (weights > 0).all()
    product = weights * ((1 - mix) * p + mix / 313)
    np.testing.assert_allclose(product, product[0])
    if mix == 1:
        np.testing.assert_allclose(weights, 1)
    else:
        assert weights[p.argmin()] > 1 > weights[p.argmax()]


@pytest.mark.parametrize("name, images, grey", [("tiny_imagenet_part", 22220, 551),
                                                ("cifar10_jpeg", 50000, 1006)])
def test_the_shipped_priors(name, images, grey):
    path = color_prior._FOLDER / f"{name}.json"
    found = json.loads(path.read_text())
    assert (found["images"], found["grey"]) == (images, grey)
    counts = np.array(color_prior.resolve(name))
    pixels = (64 // found["stride"]) ** 2 if "tiny" in name else (32 // found["stride"]) ** 2
    assert counts.sum() == (images - grey) * pixels
    assert abs(AB_BINS[counts.argmax()]).max() <= 10  # the commonest colour is nearly grey
    assert 250 > (counts > 0).sum() > 230  # about 52 bins are the nearest of no sRGB colour


def test_a_shipped_prior_is_the_data_sets(real_data):
    from keras_pretext import data

    counts = color_prior.count(data.open("cifar10_jpeg", "test"), 1000)["counts"]
    shipped = np.array(color_prior.resolve("cifar10_jpeg"))
    assert abs(counts / counts.sum() - shipped / shipped.sum()).sum() < 0.15


def test_what_is_no_prior(tmp_path):
    assert color_prior.resolve(np.arange(313)) == list(range(313))
    (tmp_path / "damaged.json").write_text("{")
    for prior, message in (("cifar10", "Did you mean 'cifar10_jpeg'.*Received: 'cifar10'"),
                           (tmp_path / "damaged.json", "JSON file with `counts`"),
                           (np.zeros(313), "not all 0"), ([1] * 312, "313 counts"),
                           ([-1] * 313, "none negative"), ([np.nan] * 313, "313 counts"),
                           ([["a"]], "313 counts"), (7, "313 counts")):
        with pytest.raises(ValueError, match=message):
            color_prior.resolve(prior)


def test_grey_data_have_no_prior(tmp_path, rng):
    grey = ArraySource(rng.integers(0, 256, (5, 8, 8)).astype("uint8"), name="old films")
    with pytest.raises(ValueError, match="none of the 5 pictures.*grey.*Received: 'old films'"):
        color_prior.write(tmp_path / "prior.json", grey)
    assert not (tmp_path / "prior.json").exists()
