import numpy as np
import pytest
from PIL import Image

from keras_pretext import backbones, cli, tasks
from keras_pretext.training import Recipe, Trainer
from keras_pretext.visualize import inpaint


class Plane:
    """In the place of a network: continues the plane that it sees at the edges of its picture."""

    def __init__(self, **options):
        self.task = tasks.get("inpainting", **{"image_size": 64, "overlap": 2, **options})

    def __call__(self, images, training=None):
        self.seen = np.asarray(images)[0]
        size = len(self.seen)
        y, x = np.mgrid[:size, :size]
        edge = np.maximum(abs(y - (size - 1) / 2), abs(x - (size - 1) / 2)) > size / 2 - 4
        places = np.stack([np.ones_like(y), y, x], -1).astype(float)
        fit, *_ = np.linalg.lstsq(places[edge], self.seen[edge] / 127.5 - 1, rcond=None)
        start = (size - self.task.region_size) // 2
        end = start + self.task.region_size
        return (places @ fit)[None, start:end, start:end].astype("float32")


def plane(height=200, width=260):
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, 255 - y / 2 - x / 2], -1).clip(0, 255).astype("uint8")


def box_mask(shape, left, top, width, height):
    mask = np.zeros(shape, bool)
    mask[top:top + height, left:left + width] = True
    return mask


@pytest.mark.parametrize("region", ["central", "random"])
@pytest.mark.parametrize("box", [(110, 80, 40, 40), (90, 95, 31, 17), (120, 60, 9, 50),
                                 (130, 101, 6, 3)])
def test_what_is_painted_lies_where_it_belongs(region, box):
    """Between 200 and 260 pixels, at 64, and back: a plane is continued within a level or two."""
    picture, model = plane(), Plane(region=region)
    damaged = picture.copy()
    hole = box_mask((200, 260), *box)
    damaged[hole] = 255 - damaged[hole]
    painted = inpaint(model, damaged, box)
    assert painted.dtype == np.uint8 and painted.shape == picture.shape
    np.testing.assert_array_equal(painted[~hole], picture[~hole])
    away = painted[hole].astype(int) - picture[hole]
    assert abs(away).max() <= 2 and abs(away.mean(0)).max() < 0.6  # a pixel aside is 1
    np.testing.assert_array_equal(inpaint(model, damaged, mask=hole), painted)


@pytest.mark.parametrize("region", ["central", "random"])
def test_nothing_of_what_is_painted_over_is_seen(rng, region):
    picture, model = plane(), Plane(region=region)
    answers, seen = [], []
    for _ in range(2):
        picture[80:120, 110:150] = rng.integers(0, 256, (40, 40, 3))
        answers.append(inpaint(model, picture, (110, 80, 40, 40)))
        seen.append(model.seen)
    np.testing.assert_array_equal(*answers)
    np.testing.assert_array_equal(*seen)
    hole = (seen[0] == model.task.fill).all(-1)
    inside = 64 // 2 if region == "random" else 32 - 2 * 2
    assert inside**2 <= hole.sum() <= (inside + 2)**2 and hole[32, 32]


def test_a_part_at_the_edge_sees_the_picture_mirrored(rng):
    """The window of a box of 32 pixels is 64 wide: the network's own size, nothing is resized."""
    picture, model = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8), Plane(region="random")
    inpaint(model, picture, (30, 0, 32, 32))
    filled = picture.copy()
    filled[:32, 30:62] = model.task.fill
    around = np.pad(filled, ((50, 50), (70, 70), (0, 0)), "symmetric")
    top, left = 50 - 16, 70 + 30 - 16
    np.testing.assert_array_equal(model.seen, around[top:top + 64, left:left + 64])


def test_grey_pictures_and_masks_of_any_shape():
    picture, model = plane()[..., 1], Plane(region="random")
    y, x = np.mgrid[:200, :260]
    disc = (y - 100) ** 2 + (x - 120) ** 2 < 20**2
    painted = inpaint(model, picture, mask=disc)
    np.testing.assert_array_equal(painted[~disc][:, 0], picture[~disc])
    assert abs(painted[..., 0].astype(int) - picture)[disc].max() <= 2


@pytest.mark.parametrize("options, message", [
    ({}, "either a box or a mask. Received: box=None, mask None"),
    ({"box": (0, 0, 5, 5), "mask": np.ones((20, 30), bool)}, "either a box or a mask"),
    ({"box": (0, 0, 5)}, r"whole pixels. Received: \(0, 0, 5\)"),
    ({"box": (0, 0, 5, 2.5)}, "whole pixels"),
    ({"box": (0, 0, float("nan"), 5)}, "whole pixels"),
    ({"box": (3, 3, 0, 5)}, "at least 1 pixel wide and high. Received: 0 x 5"),
    ({"box": (3, 3, -4, 5)}, "at least 1 pixel"),
    ({"box": (-1, 0, 5, 5)}, r"which is 30 x 20.*Received: \(-1, 0, 5, 5\)"),
    ({"box": (26, 0, 5, 5)}, "columns are 26 to 30"),
    ({"box": (0, 0, 64, 64)}, r"which is 30 x 20.*Received: \(0, 0, 64, 64\)"),
    ({"box": (0, 0, 30, 20)}, "something of the picture stays"),
    ({"mask": np.zeros((20, 30), bool)}, "an empty mask"),
    ({"mask": np.ones((20, 30), bool)}, "all of its 30 x 20 pixels"),
    ({"mask": np.ones((30, 20), bool)}, r"bool \(20, 30\).*Received: bool \(30, 20\)"),
    ({"mask": np.ones((20, 30))}, "Received: float64"),
])
def test_bad_boxes_and_masks(options, message):
    with pytest.raises(ValueError, match=message):
        inpaint(Plane(), plane(20, 30), **options)


@pytest.mark.parametrize("picture, message", [
    (np.zeros((20, 30, 4), np.uint8), r"uint8 \(20, 30, 4\)"),
    (np.zeros((20, 30, 3)), "float64"),
    (np.zeros((0, 30, 3), np.uint8), r"\(0, 30, 3\)"),
])
def test_what_is_no_picture(picture, message):
    with pytest.raises(ValueError, match=f"a picture is uint8.*{message}"):
        inpaint(Plane(), picture, (0, 0, 5, 5))


def test_only_models_of_inpainting():
    model = tasks.get("autoencoder", image_size=16).attach(
        backbones.get("network_in_network", blocks=2))
    for other, name in ((model, "autoencoder"), (model.backbone, "NetworkInNetwork")):
        with pytest.raises(ValueError, match=f"'inpainting'. Received: a model of '{name}'"):
            inpaint(other, plane(20, 30), (0, 0, 5, 5))


def test_the_command(npz, tmp_path, capsys):
    recipe = Recipe(name="small", task=("inpainting", {"image_size": 16, "overlap": 1, "width": 4}),
                    backbone=("context_encoder", {"channels": [6, 8], "bottleneck": 12}),
                    data=f"npz:{npz}", test_split=None, epochs=0.1, batch_size=8, optimizer="adam",
                    learning_rate=0.001, weight_decay=0.0)
    Trainer(recipe, tmp_path / "run", progress=False).run()
    Image.fromarray(plane(40, 60)).save(tmp_path / "picture.png")

    def command(box, out="out.png", model="run"):
        return cli.main(["inpaint", str(tmp_path / "picture.png"), "--box", box, "--model",
                         str(tmp_path / model), "--out", str(tmp_path / out)])

    assert command("20,10,16,12") == 0 and str(tmp_path / "out.png") in capsys.readouterr().out
    painted = np.asarray(Image.open(tmp_path / "out.png"))
    changed = (painted != plane(40, 60)).any(-1)
    assert changed[10:22, 20:36].mean() > 0.9
    changed[10:22, 20:36] = False
    assert not changed.any()
    for box, message in (("20,10,41,12", "which is 60 x 40"), ("20,10", "whole pixels"),
                         ("a,b,c,d", "four whole numbers. Received: 'a,b,c,d'")):
        assert command(box, "none.png") == 2
        line = capsys.readouterr().err
        assert line.startswith("keras-pretext: ") and message in line and line.count("\n") == 1
    assert not (tmp_path / "none.png").exists()
