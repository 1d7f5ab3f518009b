"""What the explorer shows, without a browser."""

import os

import keras
import numpy as np
import pytest
from PIL import Image

from keras_pretext import backbones, tasks, zoo
from keras_pretext.data.arrays import ArraySource
from keras_pretext.explore import Pictures, open_pictures, pictures, views
from keras_pretext.explore.app import SEEDS, Explorer, figures_html, thumbnails_html
from keras_pretext.explore.server import is_loopback, listening, open_models


@pytest.fixture(scope="module")
def some():
    rng = np.random.default_rng(0)
    images = [*rng.integers(0, 256, (5, 36, 48, 3)).astype("uint8")]
    images.append(images[1].copy())  # the second again
    return Pictures(images, "noise", [*"abcdef"])


@pytest.fixture(scope="module")
def rotation():
    """A model that says 180 degrees, whatever it sees."""
    keras.utils.set_random_seed(0)
    model = tasks.get("rotation").attach(backbones.get("network_in_network", blocks=2))
    kernel, bias = model.get_layer("logits").weights
    kernel.assign(np.zeros(kernel.shape))
    bias.assign([0.0, 0.0, np.log(3.0), 0.0])
    return model


def test_the_puzzle_is_the_tasks_for_the_draws_of_a_seed(some):
    figure, = views.puzzle(tasks.get("rotation", image_size=32), some, 2, 5)
    row, = figure.rows
    assert [title for title, _ in row] == [f"{90 * k}° (label {k})" for k in range(4)]
    for k, (_, copy) in enumerate(row):
        np.testing.assert_array_equal(copy, np.rot90(row[0][1], k))
    again, = views.puzzle(tasks.get("rotation", image_size=32), some, 2, 5)
    np.testing.assert_array_equal(again.rows[0][0][1], row[0][1])
    for other in ((2, 6), (3, 5)):
        figure, = views.puzzle(tasks.get("rotation", image_size=32), some, *other)
        assert (figure.rows[0][0][1] != row[0][1]).any()


@pytest.mark.parametrize("name", views.task_names())
def test_every_task_shows_its_puzzle_or_says_what_it_learns_from(some, name):
    task = tasks.get(name)
    if task.layer().channels == 3:
        figure, = views.puzzle(task, some, 0)
        assert figure.rows and all(image.dtype == np.uint8 for row in figure.rows
                                   for _, image in row)
    else:
        with pytest.raises(ValueError, match="learns from.*Received: 'noise', which has pictures"):
            views.puzzle(task, some, 0)


def test_all_tasks_are_there_but_those_made_of_other_things():
    assert {*tasks.list()} - {*views.task_names()} == {"classification", "ensemble"}


def test_masks_and_pairs_reach_the_tasks_that_ask_for_them():
    images = np.full((2, 40, 40, 3), 90, "uint8")
    mask = np.zeros((2, 40, 40), "int64")
    mask[:, :20] = 7
    masked = [np.concatenate([images[0], np.where(mask[0], 255, 0)[..., None].astype("uint8")], -1)]
    seen = Pictures([images[0]], "masked", masked=masked)
    figure, = views.puzzle(tasks.get("motion_segmentation", image_size=32, flip=False), seen, 0)
    assert {0, 255} >= {*np.unique(figure.rows[0][1][1])}
    pair = Pictures([np.concatenate([images[0], images[0] + 100], -1)], "pairs")
    figure, = views.puzzle(tasks.get("transitive", image_size=32), pair, 0)
    assert figure.rows[0][0][1].mean() < 120 < figure.rows[0][1][1].mean()
    np.testing.assert_array_equal(pair.rgb(0), images[0])
    with pytest.raises(ValueError, match="pairs of pictures. Received: 'masked'"):
        views.puzzle(tasks.get("transitive", image_size=32), seen, 0)


def test_answers_stand_beside_the_truth(some, rotation):
    figure, = views.answers({"constant": rotation}, some, 0)
    assert figure.heading == "constant: rotation" and figure.text == "1 of 4 right."
    assert figure.marks == [[False, False, True, False]]
    assert figure.rows[0][1][0] == "90° (label 1), said 2"
    assert figure.table == [["puzzle", "truth", "said", "chance that it gave"],
                            ["1", "0°", "180°", "50% (truth 17%)"],
                            ["2", "90°", "180°", "50% (truth 17%)"],
                            ["3", "180°", "180°", "50%"],
                            ["4", "270°", "180°", "50% (truth 17%)"]]


def test_labels_have_names():
    jigsaw = tasks.get("jigsaw", permutations=10)
    names = views.label_names(jigsaw, 10)
    assert names[3] == "3: " + " ".join(map(str, jigsaw.table[3]))
    assert views.label_names(tasks.get("relative_patch"), 8)[4] == "right"
    assert views.label_names(tasks.get("deep_cluster", clusters=3), 3) == ["0", "1", "2"]


class Painter:
    """In the place of a network: paints the left half black, the right half white."""

    def __init__(self, task):
        self.task, self.backbone = task, None

    def __call__(self, images, training=None):
        size = getattr(self.task, "region_size", self.task.image_size)
        out = np.full((1, size, size, 3), -1.0, "float32")
        out[:, :, size // 2:] = 1.0
        return out


@pytest.mark.parametrize("name, options", [("autoencoder", {}), ("inpainting", {})])
def test_painted_answers_are_shown_beside_what_is_asked(some, name, options):
    figure, = views.answers({"p": Painter(tasks.get(name, image_size=64, **options))}, some, 0)
    title, said = figure.rows[0][-1]
    assert title == "said" and figure.table is None
    half = said.shape[1] // 2
    assert (said[:, :half] == 0).all() and (said[:, half:] == 255).all()
    assert len(figure.rows[0]) > 2


def test_tasks_without_a_truth_for_this_picture_say_so(some, rotation):
    class Stub:
        backbone = None

        def __init__(self, task):
            self.task = task

    figure, = views.answers({"d": Stub(tasks.get("deep_cluster", clusters=3))}, some, 0)
    assert "no truth" in figure.text and figure.rows and figure.table is None
    figure, = views.answers({"m": Stub(tasks.get("motion_segmentation"))}, some, 0)
    assert figure.text.startswith("No puzzle: this task learns from") and not figure.rows


def test_holes_are_where_they_are_asked_for(some):
    model = Painter(tasks.get("inpainting", image_size=64))
    figure, = views.holes({"p": model}, some, 0, left=0.5, top=1.0, side=0.5)
    (_, image), (_, cut), (_, painted) = figure.rows[0]
    assert figure.text == "Painted: 18 x 18 pixels of 48 x 36."
    hole = np.zeros((36, 48), bool)
    hole[18:, 24:42] = True
    np.testing.assert_array_equal((cut == 128).all(-1), hole)
    np.testing.assert_array_equal(painted[~hole], image[~hole])
    assert painted[hole].min() < 20 and painted[hole].max() > 235


def test_what_needs_another_model_says_so(some, rotation):
    for view, kind in ((views.colors, "colorization"), (views.holes, "inpainting")):
        with pytest.raises(ValueError, match=rf"'{kind}': pass .*--models. Received: r \(rotation"):
            view({"r": rotation}, some, 0)
        with pytest.raises(ValueError, match="Received: none"):
            view({}, some, 0)


def test_neighbours_find_the_same_picture(some, rotation):
    figure, = views.neighbours(rotation, some, [5])
    (query, first), (nearest, second), *rest = figure.rows[0]
    assert query == "query 5" and nearest == "1: 1.00" and len(rest) == 4
    np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match="two pictures or more. Received: 1 of one"):
        views.neighbours(rotation, Pictures(some.images[:1], "one"), [0])


def test_filters_and_attention(some, rotation):
    figure, = views.filters(rotation)
    assert figure.rows[0][0][1].ndim == 3
    figure, = views.attention(rotation, some, 1)
    assert len(figure.rows) == 1 and all(p.shape == (32, 32, 3) for _, p in figure.rows[0])
    figure, = views.attention(rotation, some, 1, turns=True)
    assert [row[0][0] for row in figure.rows] == ["0°", "90°", "180°", "270°"]


# -- the pictures ----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, rng):
    """Six pictures, a link to one of them, one to a picture outside, and one to a folder."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    for k in range(6):
        Image.fromarray(rng.integers(0, 100, (30, 40, 3)).astype("uint8")).save(
            inside / f"{k}.png")
    Image.new("RGB", (30, 40), (255, 255, 255)).save(outside / "white.png")
    (inside / "link.png").symlink_to(inside / "0.png")
    (inside / "out.png").symlink_to(outside / "white.png")
    (inside / "further").symlink_to(outside)
    return inside


def test_links_out_of_a_folder_are_not_opened(folder, monkeypatch):
    opened, real = [], Image.open
    monkeypatch.setattr(Image, "open", lambda f, *a: opened.append(str(f)) or real(f, *a))
    found = open_pictures(str(folder))
    assert len(found) == 7 and max(image.max() for image in found.images) < 200
    assert opened and not [path for path in opened if "out" in os.path.basename(path)]
    assert len(open_pictures(f"folder:{folder}")) == 7


def test_nothing_is_read_later(folder, rotation):
    explorer = Explorer({"f": open_pictures(str(folder))}, {"r": rotation})
    for path in folder.iterdir():
        path.unlink()
    for view in ("Puzzle", "Answers", "Attention", "Neighbours"):
        assert "<img" in shown(explorer, view=view, k=6)


def test_the_sample_is_fixed_small_and_named(tmp_path):
    images = np.zeros((50, 8, 8, 3), "uint8") + np.arange(50, dtype="uint8")[:, None, None, None]
    mask = np.ones((50, 8, 8), "int64")
    source = ArraySource(images, np.arange(50) % 2, class_names=["a", "b"], dense={"mask": mask})
    found = open_pictures(source, count=9)
    values = [int(image[0, 0, 0]) for image in found.images]
    assert len(found) == 9 and values == sorted(set(values))
    assert found.labels == ["ab"[n % 2] for n in values]
    assert [int(m[0, 0, 0]) for m in found.masked] == values and found.masked[0][0, 0, 3] == 255
    assert [int(i[0, 0, 0]) for i in open_pictures(source, count=9).images] == values
    with pytest.raises(ValueError, match="at least 1 picture.*Received: 0"):
        open_pictures(source, count=0)


def test_large_pictures_are_shrunk():
    assert pictures.shrunk(np.zeros((1000, 2000, 3), "uint8")).shape == (320, 640, 3)
    image = np.zeros((10, 20, 3), "uint8")
    assert pictures.shrunk(image) is image
    assert pictures.shrunk(np.zeros((1, 2000, 3), "uint8")).shape == (1, 640, 3)


def test_scenes_are_drawn_large_and_as_many_as_asked():
    found = open_pictures("scenes", count=3)
    assert [image.shape for image in found.images] == [(96, 96, 3)] * 3 and found.labels
    assert open_pictures("scenes:40", count=1).images[0].shape == (40, 40, 3)
    with pytest.raises(ValueError, match="scenes"):
        open_pictures("scenes:large")


# -- the page's parts ------------------------------------------------------------------------


def shown(explorer, data="f", k=0, view="Puzzle", task="rotation", seed=0, model="r", turns=False):
    return explorer.show(data, k, view, task, seed, model, turns, 25, 25, 50)


def test_titles_are_text_not_html_nor_templates():
    image = np.zeros((8, 8, 3), "uint8")
    text = figures_html([views.Figure("<script>h</script>", "{{t}} ${x}", [[("<b>", image)]],
                                      [[True]], [["<i>"], ["<u>"]])])
    for raw in ("<script", "{", "${", "<b>", "<i>", "<u>"):
        assert raw not in text
    assert "&lt;script&gt;" in text and 'class="right"' in text
    text = thumbnails_html(Pictures([image], "x", ['"><img src=x onerror=1>']))
    assert text.count("<img") == 1 and 'data-picture="0"' in text


def test_numbers_out_of_range_and_errors_are_shown_not_raised(some, rotation):
    explorer = Explorer({"f": some}, {"r": rotation})
    assert shown(explorer, k=99) == shown(explorer, k=5)
    assert shown(explorer, k=-3) == shown(explorer, k=0)
    assert shown(explorer, seed=10**12) == shown(explorer, seed=SEEDS)
    text = shown(explorer, view="Colours")
    assert 'role="alert"' in text and "colorization" in text and "<img" not in text
    assert "no model to look into" in shown(Explorer({"f": some}, {}), view="Filters", model=None)


def test_a_view_depends_on_its_own_controls_alone(some, rotation):
    explorer = Explorer({"f": some}, {"r": rotation})
    first = shown(explorer, view="Attention")
    assert shown(explorer, view="Attention", seed=3, task="jigsaw") == first
    assert explorer._kept.cache_info().hits == 1
    assert shown(explorer, view="Attention", turns=True) != first
    assert shown(explorer, view="Puzzle", seed=3) != shown(explorer, view="Puzzle")


# -- what it is started with -----------------------------------------------------------------


def test_models_are_called_without_their_place(tmp_path, rotation):
    zoo.publish(rotation, "tiny", root=tmp_path, saved_model=False)
    (tmp_path / "own" / "final").mkdir(parents=True)
    rotation.save(tmp_path / "own" / "final" / "model.keras")
    found = open_models([str(tmp_path / "tiny" / "1"), str(tmp_path / "own"),
                         str(tmp_path / "own" / "final" / "model.keras")])
    assert [*found] == ["tiny@1", "own", "model"]
    assert {type(model.task) for model in found.values()} == {type(rotation.task)}
    with pytest.raises(ValueError, match="Did you mean 'rotnet_nin'.*Received: 'rotnet_nim'"):
        open_models(["rotnet_nim"])


def test_where_it_listens():
    with listening("127.0.0.1", 0) as first:
        host, port = first.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(OSError, match=rf"in use\): pass another --port.*port {port}$"):
            listening(host, port)
    with pytest.raises(ValueError, match="0 to 65535. Received: 65536"):
        listening("127.0.0.1", 65536)
    with pytest.raises(OSError, match="cannot listen there.*Received: 203.0.113.1"):
        listening("203.0.113.1", 0)
    assert is_loopback("localhost") and is_loopback("127.0.0.9") and is_loopback("::1")
    assert not is_loopback("0.0.0.0") and not is_loopback("") and not is_loopback("example.org")
