"""The patch and puzzle layers give on JAX, compiled, what they give on TensorFlow."""

import os
import pathlib
import subprocess
import sys

import numpy as np

TILES = {"tile": 12, "cell": 15, "permutations": 20, "puzzles": 3}
LAYERS = {"jigsaw": {**TILES, "grey": 0.5}, "damaged_jigsaw": {**TILES, "tile": 16, "cell": 19},
          "relative_patch": {"patch": 16, "gap": 8, "jitter": 2}, "counting": {"tile": 16}}


def answers(rng):
    """`{name: flat list of NumPy outputs}`: of three pictures together, then of the last alone."""
    import keras

    from keras_pretext import tasks

    found = {}
    for name, options in LAYERS.items():
        layer = tasks.get(name, **options).layer()
        # of a side whose shrinking has no simple ratio: with 80 to 48 a pixel of a hundred falls on
        # a half, which a processor rounds as it likes
        images = rng.integers(0, 256, (3, 83, 90, 3), dtype=np.uint8)
        draws = rng.random((3, layer.num_draws), dtype="float32")
        draws[2, layer.framing.num_draws] = 0.1  # the one that is alone is grey
        call = layer
        if keras.backend.backend() == "jax":
            import jax

            call = jax.jit(lambda *pair, layer=layer: layer(*pair))
        outputs = [call(images, draws), call(images[2], draws[2])]
        found[name] = [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(outputs)]
    return found


def test_jax_gives_what_tensorflow_gives(tmp_path):
    path = tmp_path / "jax.npz"
    code = ("import sys, numpy as np; from test_layers_on_jax import answers; "
            "np.savez(sys.argv[1], **{f'{name} {k}': x for name, xs in "
            "answers(np.random.default_rng(5)).items() for k, x in enumerate(xs)})")
    done = subprocess.run([sys.executable, "-c", code, path], text=True, capture_output=True,
                          cwd=pathlib.Path(__file__).parent, timeout=900,
                          env={**os.environ, "KERAS_BACKEND": "jax"})
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(path) as file:
        for name, outputs in answers(np.random.default_rng(5)).items():
            for k, ours in enumerate(outputs):
                theirs = file[f"{name} {k}"]
                assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
                # resampling may round the last bit the other way
                difference = abs(ours.astype("float64") - theirs)
                assert np.quantile(difference, 0.99) < 0.01 and difference.max() <= 1.01
