import sys

import numpy as np
import pytest

from keras_pretext.visualize import scatter, tsne
from keras_pretext.visualize.tsne import color


def test_what_is_near_stays_near(rng):
    pytest.importorskip("sklearn")
    labels = np.arange(60) % 3
    vectors = rng.normal(0, 0.1, (60, 8)) + 3 * np.eye(8)[labels]
    places = tsne(vectors, perplexity=10, seed=0)
    assert places.shape == (60, 2) and places.min() == 0 and places.max() == 1
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (labels[distance.argmin(1)] == labels).all()
    np.testing.assert_array_equal(places, tsne(vectors, perplexity=10, seed=0))


def test_what_cannot_be_embedded_is_refused(rng, monkeypatch):
    pytest.importorskip("sklearn")
    vectors = rng.normal(size=(10, 3))
    with pytest.raises(ValueError, match="perplexity is between 0 and the 10 vectors"):
        tsne(vectors, perplexity=10)
    with pytest.raises(ValueError, match="at least 4"):
        tsne(vectors[:3])
    with pytest.raises(ValueError, match="finite"):
        tsne(np.where(vectors > 0, np.nan, vectors), perplexity=3)
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ImportError, match=r"pip install 'keras_pretext\[tsne\]'"):
        tsne(vectors, perplexity=3)


def test_dots_have_their_labels_colours():
    sheet = np.asarray(scatter([(0, 0), (1, 1)], labels=[0, 1], names=["cat", "dog"], side=100))
    assert tuple(sheet[20, 20]) == color(0) and tuple(sheet[80, 80]) == color(1)
    assert sheet.shape == (122, 100, 3) and (sheet[105:, :50] != 255).any()


def test_pictures_lie_in_their_places():
    pictures = np.full((1, 8, 8, 3), (10, 200, 30), "uint8")
    sheet = np.asarray(scatter([(0.5, 0.5)], pictures=pictures, side=100))
    assert tuple(sheet[50, 50]) == (10, 200, 30) and tuple(sheet[5, 5]) == (255, 255, 255)
    with pytest.raises(ValueError, match="one of the pictures a place, 2. Received: 1"):
        scatter([(0, 0), (1, 1)], pictures=pictures)
