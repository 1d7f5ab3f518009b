"""Arrays of an `.npz` as variables of a SavedModel: what comes back is what was stored."""

import gc

import numpy as np
import pytest


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    return {"0000/conv/kernel": rng.normal(size=(3, 3, 8, 16)).astype("float16"),
            "0001/conv/bias": rng.normal(size=16).astype("float32"),
            "0002/other": rng.integers(-9, 9, (4, 5)).astype("int8"),
            "0003/scalar": np.float16(3)}


def served(path, names, folder):
    import tensorflow as tf

    from keras_pretext.serving.stored import Unpacked

    module = tf.Module()
    module.weights = Unpacked(path, names)

    @tf.function(input_signature=[tf.TensorSpec((), tf.float32, "by")])
    def times(by):
        return {f"w{k}": w * by for k, w in enumerate(module.weights.tensors())}

    tf.saved_model.save(module, str(folder), signatures=times)
    return folder


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_by_name_from_either_kind_of_npz(arrays, save, tmp_path):
    import tensorflow as tf

    save(tmp_path / "w.npz", **arrays)
    names = [*arrays][::-1]  # not as they lie in the file
    folder = served(tmp_path / "w.npz", names, tmp_path / "saved")
    folder.rename(tmp_path / "moved")
    (tmp_path / "w.npz").unlink()
    ask = tf.saved_model.load(str(tmp_path / "moved")).signatures["serving_default"]
    gc.collect()  # a signature alone keeps the weights
    found = ask(by=tf.constant(2.0))
    for k, name in enumerate(names):
        value = found[f"w{k}"]
        assert value.dtype == tf.float32 and value.shape == arrays[name].shape
        np.testing.assert_array_equal(value, 2 * arrays[name].astype("float32"))


def test_two_models_in_one_process_keep_to_their_own(arrays, tmp_path):
    import tensorflow as tf

    np.savez(tmp_path / "a.npz", x=arrays["0001/conv/bias"])
    np.savez(tmp_path / "b.npz", x=-arrays["0001/conv/bias"])
    a, b = (tf.saved_model.load(str(served(tmp_path / f"{name}.npz", ["x"], tmp_path / name)))
            for name in "ab")
    for model, sign in ((a, 1), (b, -1)):
        found = model.signatures["serving_default"](by=tf.constant(1.0))["w0"]
        np.testing.assert_array_equal(found, sign * arrays["0001/conv/bias"])


def test_what_cannot_be_unpacked_is_refused(arrays, tmp_path):
    from keras_pretext.serving.stored import Unpacked

    np.savez(tmp_path / "w.npz", x=np.asfortranarray(arrays["0002/other"]), y=np.array(["text"]))
    for name, message in (("z", "no such array in .*Received: z"),
                          ("x", "in C order. Received: x, int8 in Fortran order"),
                          ("y", "in C order. Received: y")):
        with pytest.raises(ValueError, match=message):
            Unpacked(tmp_path / "w.npz", [name])
