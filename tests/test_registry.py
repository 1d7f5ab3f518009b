import pytest

from keras_pretext import backbones, tasks


@pytest.mark.parametrize("name, config, message", [
    ("rotation", {"imagesize": 5}, "option of rotation. Did you mean 'image_size'"),
    ("damaged_jigsaw", {"tyle": 5}, "option of damaged_jigsaw. Did you mean 'tile'"),
    ("damaged_jigsaw", {"damages": []}, "option of damaged_jigsaw. Did you mean 'damage'"),
    ("classification", {}, "classification needs num_classes. Received: no options"),
    ("rotation", {"image_size": "big"}, "image_size of rotation is a number. Received: 'big'"),
    ("rotation", {"image_size": True}, "image_size of rotation is a number. Received: True"),
    ("rotation", {"flip": "maybe"}, "flip of rotation is true or false. Received: 'maybe'"),
    ("rotation", {"image_size": 0}, "at least 1. Received: 0"),
    ("rotation", {"image_size": 8.5}, "whole number of pixels.*Received: 8.5"),
    ("classification", {"num_classes": 3, "image_size": -1}, "at least 1. Received: -1"),
    ("exemplar_triplet", {"image_size": 0}, "image_size at least 1.*image_size=0"),
])
def test_what_a_task_does_not_take(name, config, message):
    with pytest.raises(ValueError, match=message):
        tasks.get(name, **config)


def test_what_a_backbone_does_not_take():
    with pytest.raises(ValueError, match="option of vgg. Did you mean 'depth'.*Received: 'dept'"):
        backbones.get("vgg", dept=16)
    with pytest.raises(ValueError, match="depth of vgg is a number. Received: 'deep'"):
        backbones.get("vgg", depth="deep")
    assert not backbones.get("network_in_network", blocks=2, trainable=False).trainable


@pytest.mark.parametrize("make", [tasks, backbones])
def test_every_config_is_taken_again(make):
    needs = {"classification": {"num_classes": 3}, "ensemble": {
        "tasks": {"rot": ["rotation", {"image_size": 16}]}, "image_size": 16}}
    for name in make.list():
        config = make.get(name, **needs.get(name, {})).get_config()
        assert make.get(name, **config).get_config().keys() == config.keys()
