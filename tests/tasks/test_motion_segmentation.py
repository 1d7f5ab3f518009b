import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_trunk import TRUNK

from keras_pretext import backbones, data, tasks
from keras_pretext.data.arrays import ArraySource
from keras_pretext.data.draws import draws
from keras_pretext.data.masks import MaskedSource, seen_by
from keras_pretext.data.pipeline import pipeline
from keras_pretext.training import Recipe, load_run, train


def small(**options):
    return tasks.get("motion_segmentation", **{
        "image_size": 16, "stride": 4, "framing": {"kind": "resize_crop", "size": 16}, **options})


def frames(rng, count=24, side=16):
    """A bright square, which moves, on dark noise, and where it is: uint8 pictures and masks."""
    images = rng.integers(0, 60, (count, side, side, 3))
    masks = np.zeros((count, side, side), "uint8")
    for k, (top, left) in enumerate(rng.integers(0, side - 6, (count, 2))):
        images[k, top:top + 7, left:left + 7] += 150
        masks[k, top:top + 7, left:left + 7] = 1
    return images.astype("uint8"), masks


def test_mask_and_picture_are_cut_and_mirrored_alike(rng):
    images, masks = frames(rng, 8, 24)
    both = np.concatenate([images, 255 * masks[..., None]], -1)
    task = small(stride=1)
    numbers = draws(0, 0, np.arange(8), task.num_draws)
    numbers[:, 2] = np.arange(8) % 2 * 0.9  # every second one is mirrored
    seen, answer = task.layer()(tf.constant(both), numbers)
    assert seen.shape == (8, 16, 16, 3) and seen.dtype == tf.uint8
    assert answer.shape == (8, 16, 16) and set(np.unique(answer)) == {0, 1}
    bright = seen.numpy().mean(-1) > 105
    assert (bright == answer.numpy()).mean() > 0.97  # borders are blurred
    flipped = small(stride=1, flip=False).layer()(tf.constant(both), numbers)[0].numpy()
    np.testing.assert_array_equal(seen[0], flipped[0][:, ::-1])
    np.testing.assert_array_equal(seen[1], flipped[1])


def test_every_fourth_pixel_is_asked(rng):
    images, masks = frames(rng, 3)
    both = np.concatenate([images, 255 * masks[..., None]], -1)
    _, answer = small().layer(augment=False)(tf.constant(both), np.zeros((3, 3), "float32"))
    np.testing.assert_array_equal(answer, masks[:, ::4, ::4])


def encoded(array, kind):
    out = io.BytesIO()
    Image.fromarray(array).save(out, kind)
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[out.getvalue()]))


def test_records_arrays_and_npz_give_the_same_four_channels(rng, tmp_path):
    images, masks = frames(rng, 5)
    path = tmp_path / "00000.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image, mask in zip(images, masks, strict=True):
            writer.write(tf.train.Example(features=tf.train.Features(feature={
                "image": encoded(image, "PNG"), "segmentation_mask": encoded(mask, "PNG")}
            )).SerializeToString())
    np.savez(tmp_path / "frames.npz", images=images, mask=masks)
    sources = [data.open(f"tfrecord:{path}"), data.open(f"npz:{tmp_path / 'frames.npz'}"),
               ArraySource(images, dense={"mask": masks})]
    layer = small().layer(augment=False)
    expected = np.concatenate([images, 255 * masks[..., None]], -1)
    for source in sources:
        assert source.dense == ("mask",)
        seen = seen_by(source, layer)
        assert seen.uniform_shape == (16, 16, 4) and seen_by(seen, layer) is seen
        np.testing.assert_array_equal(seen.arrays()[0], expected)
        np.testing.assert_array_equal(seen.fetch(3)["image"], expected[3])
        inputs, labels = next(iter(pipeline(source, layer, 5, 0, shuffle=False)))
        np.testing.assert_array_equal(inputs, images)
        np.testing.assert_array_equal(labels, masks[:, ::4, ::4])


def test_loss_chance_and_what_is_measured(rng):
    images, masks = frames(rng)
    task = small()
    task.adopt(task.prepare(ArraySource(images, dense={"mask": masks}), 0))
    assert task.share == pytest.approx(masks.mean()) == 49 / 256
    model = task.attach(backbones.get("network_in_network", blocks=2))
    labels = masks[:, ::4, ::4].astype("float32")
    p = labels.mean()
    constant = np.full(labels.shape, np.log(p / (1 - p)), "float32")
    logs = {m.name: m for m in task.objective()["metrics"]}
    for metric in logs.values():
        metric.update_state(labels, constant)
    loss = float(model.compute_loss(x=None, y=labels, y_pred=constant))
    best = tasks.get("motion_segmentation", share=float(p)).chance
    assert loss == pytest.approx(best["loss"], rel=1e-4)
    assert float(logs["accuracy"].result()) == pytest.approx(best["accuracy"])
    assert float(logs["iou"].result()) == 0
    logs["iou"].reset_state()
    logs["iou"].update_state(labels, -constant)
    assert float(logs["iou"].result()) == pytest.approx(best["iou"], rel=1e-4)


@pytest.mark.parametrize("name, options, stride", [
    ("alexnet", {"flavour": "rotnet", "fc_units": ()}, 16),
    ("network_in_network", {"blocks": 2}, 4)])
def test_a_pixels_answer_looks_at_that_pixel(rng, name, options, stride):
    """Centres of AlexNet's conv5 lie 15 pixels from where stride * cell says."""
    backbone = backbones.get(name, **options)
    tap = "conv5" if name == "alexnet" else "block2"
    task = tasks.get("motion_segmentation", image_size=224, stride=4, tap=tap)
    model = task.attach(backbone)
    images = tf.Variable(rng.normal(128, 40, (8, 224, 224, 3)), dtype="float32")
    with tf.GradientTape() as tape:  # pixel 112 is the 28th of every fourth
        answer = tf.reduce_sum(model(images)[:, 28, 28])
    mass = np.abs(tape.gradient(answer, images)).sum((0, 3))
    centre = [np.average(np.arange(224), weights=mass.sum(1 - axis)) for axis in (0, 1)]
    np.testing.assert_allclose(centre, 112, atol=0.3 * stride)


def test_a_run_learns_where_the_square_is(rng, tmp_path):
    images, masks = frames(rng, 960)
    np.savez(tmp_path / "frames.npz", images=images, mask=masks)
    recipe = Recipe(name="ms", task=("motion_segmentation", small().get_config()),
                    backbone=TRUNK, data=f"npz:{tmp_path / 'frames.npz'}", test_split="train",
                    epochs=1, batch_size=16, optimizer="adam", learning_rate=0.01,
                    weight_decay=0.0)
    row = train(recipe, tmp_path / "run", progress=False)
    assert row["test_accuracy"] > 0.9 and row["test_iou"] > 0.5
    assert load_run(tmp_path / "run").task.share == pytest.approx(49 / 256)


def test_save_and_load_and_config(rng, tmp_path):
    task = small()
    model = task.attach(backbones.get("network_in_network", blocks=2))
    x = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    model.save(tmp_path / "m.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "m.keras")(x), model(x),
                               atol=1e-6)
    assert model(x).shape == (2, 4, 4)
    layer = task.layer()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


def test_preview(rng):
    images, masks = frames(rng, 1)
    row, = small().preview(MaskedSource(ArraySource(images, dense={"mask": masks})).arrays()[0],
                           np.full((1, 3), 0.6))
    assert [title for title, _ in row] == ["picture", "will move"] and row[1][1].max() == 255


def test_bad_input(rng):
    images, masks = frames(rng, 4)
    plain = ArraySource(images)
    with pytest.raises(ValueError, match="segmentation_mask.*Received: 'arrays'"):
        small().prepare(plain, 0)
    for mask, moves in ((0 * masks, "nothing"), (0 * masks + 1, "everything")):
        with pytest.raises(ValueError, match=f"{moves} moves in the 4 masks"):
            small().prepare(ArraySource(images, dense={"mask": mask}), 0)
    with pytest.raises(ValueError, match="learns from pictures with masks. Received: 'arrays'"):
        pipeline(plain, small().layer(), 2, 0)
    with pytest.raises(ValueError, match=r"\(height, width, 4\).*Received: .*16, 16, 3"):
        small().layer()(images, np.zeros((4, 3), "float32"))
    for options, message in (({"stride": 17}, "stride is 1.*stride=17"),
                             ({"share": 1}, "between 0 and 1. Received: 1")):
        with pytest.raises(ValueError, match=message):
            small(**options)
