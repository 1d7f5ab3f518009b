import keras
import numpy as np
import pytest

from keras_pretext import backbones
from keras_pretext.backbones.alexnet import FLAVOURS


def convolution(kernel, before, after, groups=1, bias=True):
    return kernel * kernel * (before // groups) * after + (after if bias else 0)


def sizes(model, side, names):
    """Map sizes and channels, without computing them."""
    outputs = model.compute_output_spec(keras.KerasTensor((1, side, side, 3), "uint8"))
    return [(outputs[n].shape[1], outputs[n].shape[3]) for n in names]


CONVS = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")


@pytest.mark.parametrize("flavour, side, maps", [
    # Gidaris et al. (2018), released code: 55, 27, 27, 13, 13, 13, 13, 6
    ("rotnet", 224, (55, 27, 27, 13, 13, 13, 13, 6)),
    # Caffe's reference model at its 227 pixels
    ("caffenet", 227, (55, 27, 27, 13, 13, 13, 13, 6)),
    # one tile of 64 pixels through the context-free network, with ceil pooling
    ("cfn", 64, (27, 13, 13, 6, 6, 6, 6, 3)),
    # a 96-pixel patch of context prediction
    ("deepcontext", 96, (24, 12, 12, 6, 6, 6, 6, 3)),
    ("deepcluster", 224, (55, 27, 27, 13, 13, 13, 13, 6)),
])
def test_map_sizes_are_the_papers(flavour, side, maps):
    model = backbones.get("alexnet", flavour=flavour, fc_units=(), image_size=side)
    assert [s for s, _ in sizes(model, side, CONVS)] == list(maps)


def test_colorization_keeps_pool5_at_stride_one():
    model = backbones.get("alexnet", flavour="colorization", fc_units=(8,), image_size=224)
    found = dict(zip((*CONVS, "fc6"), sizes(model, 224, (*CONVS, "fc6")), strict=True))
    assert found["pool5"][0] == found["conv5"][0] == found["fc6"][0]
    assert model.taps["pool5"].stride == model.taps["conv5"].stride


@pytest.mark.parametrize("flavour, expected", [
    ("caffenet", ["fc6", "drop7", "fc7"]), ("cfn", ["fc6", "drop7", "fc7"]),
    ("nat", ["fc6", "drop7", "fc7"]),
    ("deepcluster", ["drop6", "fc6", "drop7", "fc7"]), ("rotnet", ["fc6", "fc7"])])
def test_dropout_stands_where_the_papers_networks_have_it(flavour, expected):
    """Caffe drops what fc6 and fc7 give (fc7's is the head's), DeepCluster what they take."""
    model = backbones.get("alexnet", flavour=flavour, fc_units=(3, 2), image_size=71)
    names = [layer.name for layer in model.layers]
    assert [n for n in names if n in ("drop6", "fc6", "drop7", "fc7")] == expected


def test_every_tap_has_the_channels_it_says():
    for flavour in FLAVOURS:
        if flavour == "colorization_half":
            continue
        model = backbones.get("alexnet", flavour=flavour, fc_units=(16,), image_size=128)
        taps = list(model.taps)
        for (_, channels), name in zip(sizes(model, 128, taps), taps, strict=True):
            assert channels == model.taps[name].channels, (flavour, name)
        first = (64, 192, 384, 256, 256) if flavour == "rotnet" else (96, 256, 384, 384, 256)
        assert [model.taps[f"conv{k}"].channels for k in range(1, 6)] == list(first)


def test_rotnet_has_the_papers_parameters():
    """By hand from Krizhevsky's one-column network: no biases, BN's four numbers a channel."""
    channels, kernels = (3, 64, 192, 384, 256, 256), (11, 5, 3, 3, 3)
    count = sum(convolution(k, a, b, bias=False) + 4 * b
                for k, a, b in zip(kernels, channels[:-1], channels[1:], strict=True))
    count += (6 * 6 * 256) * 4096 + 4 * 4096 + 4096 * 4096 + 4 * 4096
    assert backbones.get("alexnet").count_params() == count == 57_031_872


def test_caffenet_has_krizhevskys_parameters():
    """Krizhevsky et al. (2012): 60 million, with groups and the 1000-way classifier."""
    channels, kernels, groups = (3, 96, 256, 384, 384, 256), (11, 5, 3, 3, 3), (1, 2, 1, 2, 2)
    count = sum(convolution(k, a, b, g) for k, a, b, g in
                zip(kernels, channels[:-1], channels[1:], groups, strict=True))
    count += (6 * 6 * 256) * 4096 + 4096 + 4096 * 4096 + 4096
    model = backbones.get("alexnet", flavour="caffenet", image_size=227)
    assert model.count_params() == count == 56_868_224
    assert count + 4096 * 1000 + 1000 == 60_965_224


def test_normalisation_without_scale_and_shift_where_the_paper_forbids_it():
    model = backbones.get("alexnet", flavour="deepcontext", fc_units=(8,), image_size=96)
    named = {layer.name: layer for layer in model.layers}
    assert [n for n in named if n.endswith("_bn")] == ["conv3_bn", "conv4_bn", "conv5_bn",
                                                       "fc6_bn"]
    assert not any(named[n].scale or named[n].center for n in named if n.endswith("_bn"))
    assert {"norm1", "norm2"} <= set(named)
    rotnet = {layer.name: layer for layer in backbones.get("alexnet", fc_units=()).layers}
    assert all(rotnet[f"conv{k}_bn"].scale and rotnet[f"conv{k}_bn"].epsilon == 1e-5
               and rotnet[f"conv{k}_bn"].momentum == 0.9 for k in range(1, 6))


def pooled(x, before, after):
    """3x3 max pooling with stride 2 of one map padded by `before` and `after`, in NumPy."""
    x = np.pad(x, (before, after), constant_values=-np.inf)
    places = range(0, x.shape[0] - 2, 2)
    return np.array([[x[i:i + 3, j:j + 3].max() for j in places] for i in places])


@pytest.mark.parametrize("flavour, before, after", [("caffenet", 0, 1), ("rotnet", 0, 0),
                                                    ("colorization", 1, 2)])
def test_pooling_rounds_up_as_caffe_or_down_as_torch(flavour, before, after, rng):
    model = backbones.get("alexnet", flavour=flavour, fc_units=())
    taps = [model.output["conv2"]]
    named = {layer.name: layer for layer in model.layers}
    pool = named["pool2"]
    source = named.get("pool2_pad")
    extract = keras.Model(model.input, [taps[0], pool.output])
    image = rng.integers(0, 256, (1, 127, 127, 3), dtype=np.uint8)
    conv, found = (np.asarray(t)[0, :, :, 7] for t in extract(image))
    assert (source is not None) == bool(before or after)
    np.testing.assert_allclose(found, pooled(conv, before, after), rtol=1e-5)


def test_symmetric_padding_and_groups_against_numpy(rng):
    """conv2 of caffenet: two pixels on every side, each half of the maps reads its own half."""
    model = backbones.get("alexnet", flavour="caffenet", fc_units=())
    named = {layer.name: layer for layer in model.layers}
    extract = keras.Model(model.input, [named["norm1"].output, named["conv2"].output])
    image = rng.integers(0, 256, (1, 75, 75, 3), dtype=np.uint8)
    x, found = (np.asarray(t, np.float64)[0] for t in extract(image))
    kernel, bias = (np.asarray(w, np.float64) for w in named["conv2"].get_weights())
    padded = np.pad(x, ((2, 2), (2, 2), (0, 0)))
    for i, j, out in ((0, 0, 3), (x.shape[0] - 1, 0, 200), (2, x.shape[1] - 1, 100)):
        half = slice(0, 48) if out < 128 else slice(48, 96)
        expected = (padded[i:i + 5, j:j + 5, half] * kernel[..., out]).sum() + bias[out]
        np.testing.assert_allclose(found[i, j, out], expected, rtol=1e-3, atol=1e-3)


def test_uint8_and_float_pictures_give_the_same(rng):
    model = backbones.get("alexnet", fc_units=())
    image = rng.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    for a, b in zip(model(image).values(), model(image.astype("float32")).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_config_and_file_round_trip(rng, tmp_path):
    model = backbones.get("alexnet", flavour="deepcontext", fc_units=(8,), image_size=96,
                          mean=(1, 2, 3))
    image = rng.integers(0, 256, (1, 96, 96, 3), dtype=np.uint8)
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for other in (again, loaded):
        np.testing.assert_allclose(other(image)["fc6"], model(image)["fc6"], atol=1e-5)
        assert other.get_config() == model.get_config() and other.taps == model.taps


def test_unknown_names_tell_the_nearest():
    with pytest.raises(ValueError, match="caffenet"):
        backbones.get("alexnet", flavour="cafenet")
    with pytest.raises(ValueError, match="conv3"):
        backbones.get("alexnet", fc_units=()).extractor("conv33")
    with pytest.raises(ValueError, match="alexnet"):
        backbones.get("alexnett")
    with pytest.raises(ValueError, match="'avg' or 'max'"):
        backbones.get("alexnet", fc_units=()).extractor("conv3", pooling="mean")
