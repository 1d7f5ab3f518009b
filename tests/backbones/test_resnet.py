import keras
import numpy as np
import pytest

from keras_pretext import backbones


def bottlenecks(before, widths, counts):
    """Weights of the units' convolutions and normalisations, counted by hand."""
    total = 0
    for width, count in zip(widths, counts, strict=True):
        for unit in range(count):
            total += before * width + 9 * width * width + 4 * width * width  # three convolutions
            total += 2 * 4 * width + 4 * (4 * width)  # normalisations: two inside, one of the sum
            total += before * 4 * width if unit == 0 else 0
            before = 4 * width
    return total


def test_resnet_50_has_25_6_million_weights_with_its_classifier():
    model = backbones.get("resnet", depth=50, blocks=4, output_stride=32)
    assert model.count_params() == (49 * 3 * 64 + 4 * 64
                                    + bottlenecks(64, (64, 128, 256, 512), (3, 4, 6, 3)))
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert (trained + 2048 * 1000 + 1000) / 1e6 == pytest.approx(25.6, abs=0.06)


def test_resnet_164_of_the_paper():
    """He et al. (ECCV 2016), Table 4 and section 4: 1.7 million weights."""
    model = backbones.get("resnet", flavour="cifar", depth=164, output_stride=4)
    assert model.count_params() == 27 * 16 + 4 * 16 + bottlenecks(16, (16, 32, 64), (18,) * 3)
    assert round((model.count_params() + 2570) / 1e6, 1) == 1.7


def test_the_trunk_of_the_ensemble():
    """23 units that give 1024 channels, about 30 million weights, every eighth pixel."""
    model = backbones.get("resnet")
    assert model.count_params() == (49 * 3 * 64 + 4 * 64
                                    + bottlenecks(64, (64, 128, 256), (3, 4, 23)))
    assert 27e6 < model.count_params() < 30e6
    assert len(model.units) == 23 and model.units[-1] == "block3_unit23"
    taps = {name: (tap.channels, tap.stride) for name, tap in model.taps.items()}
    assert taps == {"conv1": (64, 2), "block1": (256, 4), "block2": (512, 8), "block3": (1024, 8)}
    shapes = {n: t.shape for n, t in model.compute_output_spec(
        keras.KerasTensor((2, 96, 96, 3), "uint8")).items()}
    assert shapes["block3"] == (2, 12, 12, 1024) and shapes["conv1"] == (2, 48, 48, 64)
    assert {model.get_layer(n).output.shape[-1] for n in model.units} == {1024}
    rates = [model.get_layer(f"{n}_conv2").dilation_rate for n in model.units]
    assert rates == [(1, 1)] + [(2, 2)] * 22


def test_maps_of_the_small_trunk(rng):
    for stride, side in ((4, 8), (2, 16), (1, 32)):
        model = backbones.get("resnet", flavour="cifar", depth=20, output_stride=stride)
        maps = model(rng.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8))
        assert maps["block3"].shape == (1, side, side, 256)
        assert [t.stride for t in model.taps.values()] == [1, 1, min(2, stride), stride]


def test_dilation_keeps_what_the_strided_network_computes(rng):
    """With the same weights the dense maps hold, at every second place, the strided ones."""
    strided, dense = (backbones.get("resnet", flavour="cifar", depth=20, output_stride=stride)
                      for stride in (4, 2))
    dense.set_weights([rng.normal(0, 0.1, w.shape).astype("float32") + ("variance" in w.name)
                       for w in dense.weights])
    strided.set_weights(dense.get_weights())
    x = rng.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    few, many = (np.asarray(m(x, training=False)["block3"]) for m in (strided, dense))
    assert many.shape[1] == 2 * few.shape[1]
    np.testing.assert_allclose(many[:, ::2, ::2], few, rtol=1e-3, atol=1e-3)


def test_a_unit_adds_to_its_input(rng):
    """Pre-activation: with its last convolution at 0 a unit gives its input unchanged."""
    model = backbones.get("resnet", flavour="cifar", depth=20)
    model.get_layer("block3_unit2_conv3").kernel.assign(np.zeros((1, 1, 64, 256)))
    both = keras.Model(model.input, [model.get_layer(n).output for n in model.units])
    first, second = both(rng.integers(0, 256, (1, 16, 16, 3), dtype=np.uint8))
    np.testing.assert_array_equal(first, second)
    assert np.asarray(first).min() < 0  # no ReLU after the sum


def test_config_round_trip_and_errors():
    model = backbones.get("resnet", flavour="cifar", depth=29, output_stride=2, blocks=2)
    again = type(model).from_config(model.get_config())
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    for options, message in (({"depth": 102}, "Did you mean '101'.*Received: '102'"),
                             ({"flavour": "cifar", "depth": 21}, "9 n . 2.*Received: 21"),
                             ({"flavour": "cifer"}, "Did you mean 'cifar'"),
                             ({"blocks": 5}, "1 to 4. Received: 5"),
                             ({"output_stride": 2}, "at least 4. Received: 2"),
                             ({"output_stride": 12}, "power of 2.*Received: 12")):
        with pytest.raises(ValueError, match=message):
            backbones.get("resnet", **options)
