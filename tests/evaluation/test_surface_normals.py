"""Codewords, angles and figures by hand; normals of easy pictures learnt."""

import json
import types

import numpy as np
import pytest

from keras_pretext import evaluation
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation.surface_normals import (
    angle_figures,
    angles_between,
    codewords,
    known,
    sample_normals,
)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_codewords_are_the_middles_of_clusters(rng):
    middles = unit(np.array([[0, 0, 1], [1, 0, 0.5], [0, 1, 0.5], [-1, 0, 1], [0, -1, 0.2]]))
    near = unit(np.repeat(middles, 200, 0) + rng.normal(size=(1000, 3)) * 0.05)
    words = codewords(near, 5)
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1, atol=1e-6)
    best = (words @ middles.T).argmax(1)
    assert sorted(best) == [0, 1, 2, 3, 4]
    for word, k in zip(words, best, strict=True):
        np.testing.assert_allclose(word, unit(near[200 * k:200 * k + 200].mean(0)), atol=1e-5)
    with pytest.raises(ValueError, match="40 codewords need as many normals. Received: 5"):
        codewords(near[:5], 40)
    assert np.isfinite(codewords(near[:1].repeat(50, 0), 40)).all()  # all the same


def test_angles_and_figures_by_hand():
    truth = np.array([[0, 0, 1.0]] * 4)
    angle = np.radians([0, 60, 90, 180])
    answer = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1) * 3
    np.testing.assert_allclose(angles_between(truth, answer), [0, 60, 90, 180], atol=1e-5)
    # pooled over pixels, not averaged over pictures
    figures = angle_figures([np.array([5.0, 11.25, 20.0]), np.array([[29.0, 30.0], [80.0, 10.0]])])
    assert figures == pytest.approx({
        "mean": (5 + 11.25 + 20 + 29 + 30 + 80 + 10) / 7, "median": 20.0, "below_11.25": 2 / 7,
        "below_22.5": 4 / 7, "below_30": 5 / 7})
    with pytest.raises(ValueError, match="valid. Received: none"):
        angle_figures([np.zeros(0)])


def test_unknown_normals_are_left_out(rng):
    normals = np.zeros((2, 3, 3), np.float32)
    normals[0, 0], normals[1, 2] = [0, 0, 1], [0.6, 0, 0.8]
    normals[0, 1] = np.nan
    assert known(normals).tolist() == [[True, False, False], [False, False, True]]
    source = ArraySource(np.zeros((1, 2, 3, 3), np.uint8), dense={"normals": normals[None]})
    found = sample_normals(source)
    assert {tuple(x) for x in np.round(found, 3).tolist()} <= {(0, 0, 1), (0.6, 0, 0.8)}


def slopes(count, seed, size=(40, 56)):
    """Left of a line the surface looks left and is dark, right of it right and bright."""
    rng = np.random.default_rng(seed)
    line = rng.integers(16, size[1] - 16, count)
    right = (np.arange(size[1])[None, None] >= line[:, None, None]).repeat(size[0], 1)
    normals = np.where(right[..., None], unit(np.float32([1, 0, 2])), unit(np.float32([-1, 0, 2])))
    normals = normals.astype("float32")
    normals[:, :4] = 0
    images = rng.normal(80, 10, (count, *size, 3)) + 90 * right[..., None]
    return ArraySource(images.clip(0, 255).astype("uint8"), name=f"slopes{seed}",
                       dense={"normals": normals})


def test_it_learns(backbone):
    result = evaluation.surface_normals(
        backbone, slopes(12, 1), slopes(5, 2), "low", codes=2, rescaled=False,
        fc_units=(16,), fc_kernel=1, iterations=25, batch_size=4, learning_rate=0.02)
    assert result.protocol == "wang2017-surface-normals"
    figures, = result.details["low"]
    assert figures["below_11.25"] == result.mean("low") > 0.8
    # what is wrong is wrong by the angle between the two
    wrong = 2 * np.degrees(np.arctan(0.5))
    assert figures["mean"] == pytest.approx((1 - figures["below_11.25"]) * wrong, abs=0.1)
    json.dumps(result.to_dict())


def test_mirrored_normals_look_the_other_way(backbone, monkeypatch):
    """What the network is given of a mirrored picture: the mirrored surface."""
    seen = {}
    monkeypatch.setitem(
        evaluation.surface_normals.__globals__, "run_fcn", lambda *args, **_: seen.update(
            target=args[6]) or types.SimpleNamespace(settings={}))
    source = slopes(3, 1)
    evaluation.surface_normals(backbone, source, source, codes=2)
    straight, mirrored = (seen["target"](0, m) for m in (False, True))
    np.testing.assert_array_equal(straight[:4], -1)
    np.testing.assert_array_equal(mirrored[4:], 1 - straight[4:, ::-1])


def test_codewords_see_other_places_of_every_picture():
    places = np.arange(40 * 56, dtype="float32").reshape(40, 56)
    normals = np.stack([np.sin(places / 3000), 0 * places, np.cos(places / 3000)], -1)
    source = ArraySource(np.zeros((3, 40, 56, 3), np.uint8),
                         dense={"normals": np.stack([normals] * 3)})
    found = sample_normals(source, 50)
    seen = [set(map(tuple, found[k:k + 50].round(5))) for k in (0, 50, 100)]
    assert len(seen[0] & seen[1]) < 10 and len(seen[1] & seen[2]) < 10


def test_bad_input_before_training(backbone):
    good = slopes(3, 1)
    images = good.arrays()[0]
    with pytest.raises(ValueError, match="normals of every pixel; the test split has none"):
        evaluation.surface_normals(backbone, good, ArraySource(images))
    empty = ArraySource(images, dense={"normals": np.zeros((3, 40, 56, 3), np.float32)})
    with pytest.raises(ValueError, match="test split has a normal of unit length"):
        evaluation.surface_normals(backbone, good, empty)
