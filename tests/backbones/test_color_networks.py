"""Networks that see lightness or colour: the Lab layer, the colorization net, the split AlexNet."""

import keras
import numpy as np
import pytest

from keras_pretext import backbones
from keras_pretext.backbones.base import in_color
from keras_pretext.image.color import to_lab
from keras_pretext.layers.lab import Lab


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (2, 32, 32, 3)).astype("uint8")


def test_lab_channels_are_centred(images):
    lab = np.asarray(to_lab(images.astype("float32") / 255))
    expected = np.stack([lab[..., 0] - 50, lab[..., 1], lab[..., 2]], -1) / 25
    for color, part in (("Lab", slice(3)), ("L", slice(1)), ("ab", slice(1, 3))):
        np.testing.assert_allclose(Lab(color)(images), expected[..., part], atol=1e-5)
        np.testing.assert_allclose(Lab(color)(images.astype("float32")), expected[..., part],
                                   atol=1e-5)
    with pytest.raises(ValueError, match="Did you mean.*Received: 'lab'"):
        Lab("lab")


def test_lab_stays_float32_in_half_precision(images):
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = Lab("ab")(images.astype("float32"))
    finally:
        keras.config.set_dtype_policy(former)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(found, Lab("ab")(images), atol=1e-5)


def test_the_colorization_net_is_the_papers():
    """Section 5.6: strides, and the parameters of 3x3 convolutions counted by hand."""
    net = backbones.get("colorization_net")
    assert {n: (t.channels, t.stride) for n, t in net.taps.items()} == {
        "conv1": (64, 2), "conv2": (128, 4), "conv3": (256, 8), "conv4": (512, 8),
        "conv5": (512, 8), "conv6": (512, 8), "conv7": (512, 8), "conv8": (256, 4)}
    shapes = {n: t.shape[1:3] for n, t in net.compute_output_spec(
        keras.KerasTensor((1, 176, 176, 3))).items()}
    assert shapes["conv1"] == (88, 88) and shapes["conv7"] == (22, 22)
    assert shapes["conv8"] == (44, 44)
    wide = [1, 64, 64, 128, 128, 256, 256, 256] + [512] * 12
    convolutions = sum(9 * a * b + b for a, b in zip(wide, wide[1:], strict=False))
    convolutions += 16 * 512 * 256 + 256 + 2 * (9 * 256 * 256 + 256)
    assert sum(int(np.prod(v.shape)) for v in net.trainable_variables) == convolutions
    assert [layer.dilation_rate for layer in net.layers if layer.name in (
        "conv4_1", "conv5_1", "conv6_3", "conv7_1")] == [(1, 1), (2, 2), (2, 2), (1, 1)]
    with pytest.raises(ValueError, match="at least one channel.*0.001"):
        backbones.get("colorization_net", width=0.001)


def test_a_network_of_lightness_has_one_channel():
    for name, first, options in (("colorization_net", "conv1_1", {"width": 0.05}),
                                 ("alexnet", "conv1", {"fc_units": (), "color": "L"})):
        net = backbones.get(name, **options)
        assert net.get_layer("lab").color == "L" and net.get_layer(first).kernel.shape[2] == 1
    with pytest.raises(ValueError, match="sobel.*'L'"):
        backbones.get("alexnet", sobel=True, color="L")


def test_in_color_starts_where_the_network_of_lightness_is(images):
    """The paper's "color" rows: the features are the same, and the new weights can learn."""
    net = backbones.get("alexnet", flavour="colorization", fc_units=(), color="L")
    wide = in_color(net)
    assert wide.color == "Lab" and wide.get_layer("conv1").kernel.shape == (11, 11, 3, 96)
    for tap, expected in net(images).items():
        np.testing.assert_allclose(wide(images)[tap], expected, atol=1e-4)
    kernel = wide.get_layer("conv1").kernel
    assert (np.asarray(kernel)[:, :, 1:] == 0).all()
    kernel.assign(np.asarray(kernel) + 0.01)
    assert abs(np.asarray(wide(images)["conv1"]) - np.asarray(net(images)["conv1"])).max() > 1e-3
    for other in (wide, backbones.get("network_in_network", blocks=2)):
        with pytest.raises(ValueError, match="one of lightness, color='L'. Received"):
            in_color(other)


def test_the_halves_of_a_split_network_share_nothing(images):
    net = backbones.get("split_alexnet", fc_units=(8, 6), image_size=32)
    assert net.halves == ("L", "ab")
    assert {n: t.channels for n, t in net.taps.items()} == {
        "conv1": 96, "pool1": 96, "conv2": 256, "pool2": 256, "conv3": 384, "conv4": 384,
        "conv5": 256, "pool5": 256, "fc6": 8, "fc7": 6}
    assert net.get_layer("L_conv1").kernel.shape == (11, 11, 1, 48)
    assert net.get_layer("ab_conv1").kernel.shape == (11, 11, 2, 48)
    assert net.get_layer("L_conv3").kernel.shape[2:] == (128, 192)
    before = {n: np.asarray(t) for n, t in net(images).items()}
    for variable in net.variables:
        assert variable.path.split("/")[0].split("_")[0] in net.halves
        if variable.path.startswith("ab_conv1/"):
            variable.assign(np.asarray(variable) * 1.5 + 0.1)
    after = {n: np.asarray(t) for n, t in net(images).items()}
    for name, tap in net.taps.items():
        half = tap.channels // 2
        np.testing.assert_array_equal(after[name][..., :half], before[name][..., :half])
    assert abs(after["conv1"][..., 48:] - before["conv1"][..., 48:]).max() > 0.1


def test_a_half_is_blind_to_the_other_halfs_channels(images):
    """Greys of other lightness have the same ab: 0. Only the first half may notice."""
    net = backbones.get("split_alexnet", image_size=32)
    one = np.repeat(images[..., :1], 3, -1)
    other = 255 - one
    taps = [net(x) for x in (one, other)]
    for name, tap in net.taps.items():
        half = tap.channels // 2
        a, b = (np.asarray(t[name]) for t in taps)
        np.testing.assert_allclose(a[..., half:], b[..., half:], atol=2e-3)
        assert abs(a[..., :half] - b[..., :half]).max() > 0.1


@pytest.mark.parametrize("name, options", [
    ("colorization_net", {"width": 0.05, "color": "ab"}),
    ("split_alexnet", {"flavour": "cfn", "fc_units": (4,), "image_size": 64}),
    ("alexnet", {"flavour": "colorization_half", "fc_units": (), "color": "Lab"})])
def test_config_and_file_round_trip(name, options, images, tmp_path):
    net = backbones.get(name, **options)
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    assert again.get_config() == net.get_config() and [*again.taps] == [*net.taps]
    pictures = np.tile(images, (1, 2, 2, 1))
    for tap, expected in net(pictures).items():
        np.testing.assert_allclose(again(pictures)[tap], expected, atol=1e-5)


def test_bad_split_networks():
    with pytest.raises(ValueError, match="even.*(7,)"):
        backbones.get("split_alexnet", fc_units=(7,))
    with pytest.raises(ValueError, match="Did you mean 'colorization_half'"):
        backbones.get("split_alexnet", flavour="colorization_haf")
