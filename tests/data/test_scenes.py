import numpy as np
import pytest

from keras_pretext import data
from keras_pretext.data import scenes
from keras_pretext.data.scenes import render


@pytest.fixture(scope="module")
def pictures():
    train, test = scenes.load("train", count=3000), scenes.load("test")
    return *train, *test


def test_shapes_labels_and_splits(pictures):
    x, y, held_x, held_y = pictures
    assert x.shape == (3000, 32, 32, 3) and x.dtype == np.uint8 and held_x.shape[0] == 1000
    assert abs(np.bincount(y) - 300).max() < 60
    np.testing.assert_array_equal(np.bincount(held_y), [100] * 10)
    assert not {p.tobytes() for p in x} & {p.tobytes() for p in held_x}


def test_the_same_pictures_every_time(pictures):
    render._load.cache_clear()
    again, labels = scenes.load("test", count=60)
    np.testing.assert_array_equal(again, pictures[2][:60])
    np.testing.assert_array_equal(labels, pictures[3][:60])


def test_colour_statistics_are_far_from_solving_it(pictures):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y, held_x, held_y = pictures

    def histogram(images):
        cells = (images // 64).reshape(len(images), -1, 3).astype(int) @ [16, 4, 1]
        return np.sqrt([np.bincount(row, minlength=64) for row in cells])

    def mean_pixel(images):
        return images.reshape(len(images), -1, 3).mean(1)

    scores = {}
    for describe in (histogram, mean_pixel):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=60, tol=1e-2))
        model.fit(describe(x[:3000]), y[:3000])
        scores[describe.__name__] = model.score(describe(held_x), held_y)
    assert scores["histogram"] < 0.45 and scores["mean_pixel"] < 0.25, scores


def test_the_mean_pixel_of_a_row_hardly_tells_the_rotation(pictures):
    from sklearn.linear_model import LogisticRegression

    x, _, held_x, _ = pictures

    def thumbnails(images):  # 2x2 means of each rotation
        turned = np.concatenate([np.rot90(images, k, (1, 2)) for k in range(4)])
        small = turned.reshape(-1, 2, 16, 2, 16, 3).mean((2, 4)).reshape(len(turned), -1)
        return small / 255, np.repeat(np.arange(4), len(images))

    model = LogisticRegression(max_iter=60, tol=1e-2).fit(*thumbnails(x[:1000]))
    assert model.score(*thumbnails(held_x)) < 0.7


def test_it_opens_as_a_source_and_refuses_what_is_not_there():
    source = data.open("scenes", "test")
    assert source.num_examples == 1000 and source.class_names == scenes.CLASS_NAMES
    assert source.uniform_shape == (32, 32, 3) and len(source.fingerprint()) == 64
    with pytest.raises(ValueError, match="train, test.*Received: 'validation'"):
        data.open("scenes", "validation")
    with pytest.raises(ValueError, match="Received: 500"):
        scenes.load("test", size=500)
