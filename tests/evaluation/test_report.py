"""The report: what it gathers, what it refuses, and how the page looks in a browser."""

import copy
import functools
import http.server
import json
import re
import shutil
import subprocess
import threading

import keras
import numpy as np
import pytest
from PIL import Image

from keras_pretext import backbones, tasks, zoo
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation import report
from keras_pretext.evaluation.probe import CLASSES
from keras_pretext.evaluation.report import charts, facts, looks
from keras_pretext.evaluation.report.scoreboard import _outcomes, _over_training, table

CHROMIUM = next(filter(None, map(shutil.which, (
    "chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def metric(protocol, test, weights="this entry", **taps):
    """A ProbeResult's dict: `tap=[scores]`."""
    return {"protocol": protocol, "settings": {"test": test, "weights_from": weights, "epochs": 10},
            "taps": {tap: {"last": scores, "best": scores, "last_mean": float(np.mean(scores)),
                           "last_std": float(np.std(scores, ddof=1)),
                           "best_mean": float(np.mean(scores)), "best_std": 0.0}
                     for tap, scores in taps.items()}}


@pytest.fixture
def card():
    return {"name": "tiny", "version": 1, "task": {"name": "rotation", "config": {}},
            "backbone": {"name": "network_in_network", "config": {}}, "taps": {},
            "pretext": {"test_accuracy": 0.5, "chance_accuracy": 0.25},
            "metrics": [metric("gidaris2018-nonlinear", "cifar10_jpeg/test", block2=[0.79, 0.81]),
                        metric("gidaris2018-nonlinear", "cifar10_jpeg/test", "random",
                               block2=[0.6, 0.62]),
                        metric("gidaris2018-linear", "cifar10_jpeg/test", block2=[0.5, 0.5])]}


def test_a_table_holds_one_protocol_on_one_data_set(card):
    other = copy.deepcopy(card)
    other["name"] = "other"
    other["metrics"] = [metric("gidaris2018-nonlinear", "scenes/test", block2=[0.4, 0.4]),
                        metric("gidaris2018-nonlinear", "cifar10_jpeg/test", block3=[0.7, 0.7])]
    groups = facts.results([card, other])
    assert [(g["protocol"], g["data"]) for g in groups] == [
        ("gidaris2018-nonlinear", "cifar10_jpeg/test"), ("gidaris2018-linear", "cifar10_jpeg/test"),
        ("gidaris2018-nonlinear", "scenes/test")]
    first = groups[0]
    assert first["taps"] == ["block2", "block3"]
    assert [(r["model"], r["weights"], [*r["values"]]) for r in first["rows"]] == [
        ("tiny@1", "this entry", ["block2"]), ("tiny@1", "random", ["block2"]),
        ("other@1", "this entry", ["block3"])]
    value = first["rows"][0]["values"]["block2"]
    assert value["mean"] == pytest.approx(80) and value["std"] == pytest.approx(100 * 0.02 / 2**0.5)


def test_a_table_holds_one_metric(card):
    card["metrics"].append({**card["metrics"][0], "metric": "mean average precision"})
    groups = facts.results([card])
    assert [facts.heading(g) for g in groups] == [
        "gidaris2018-nonlinear on cifar10_jpeg/test", "gidaris2018-linear on cifar10_jpeg/test",
        "gidaris2018-nonlinear on cifar10_jpeg/test, mean average precision"]
    assert len(groups[0]["rows"]) == 2 and len(groups[2]["rows"]) == 1


def test_heads_trained_on_random_crops_are_told_from_others(card):
    cropped = copy.deepcopy(card["metrics"][0])
    cropped["settings"]["crops"] = 5
    card["metrics"].append(cropped)
    rows = facts.results([card])[0]["rows"]
    assert [(r["weights"], r["epochs"]) for r in rows] == [
        ("this entry", 10), ("random", 10), ("this entry", "10, 5 crops")]


def test_random_weights_stand_beside_the_same_pictures_and_labels(card):
    rows = []
    for weights, size, labels, score in (
            ("random", 32, None, 0.1), ("random", 64, 20, 0.2), ("random", 64, None, 0.3),
            ("this entry", 64, None, 0.8), ("this entry", 64, 20, 0.7),
            ("this entry", 96, None, 0.9)):
        rows.append(metric("p", "scenes/test", weights, block2=[score, score]))
        rows[-1]["settings"].update(image_size=size, labels_a_class=labels)
    found = [(round(one["trained"]["mean"]), one["random"] and round(one["random"]["mean"]))
             for one in _outcomes({**card, "metrics": rows})]
    assert found == [(80, 30), (70, 20), (90, None)]


def test_runs_that_differ_in_their_seed_have_a_mean_and_a_spread(card):
    cards = []
    for seed, score in ((0, 0.7), (3, 0.8), (5, 0.84)):
        cards.append({**card, "name": f"run{seed}", "seed": seed,
                      "recipe": {"name": f"run{seed}", "seed": seed, "epochs": 4},
                      "metrics": [metric("p", "scenes/test", block2=[score - 0.01, score + 0.01]),
                                  metric("p", "scenes/test", "random", block2=[0.5, 0.52])]})
    cards.append({**cards[0], "name": "longer", "seed": 9, "recipe": {"epochs": 8}})
    group, = facts.results(cards)
    last = group["rows"][-1]
    assert last["model"] == "3 runs (seeds 0, 3, 5)" and last["weights"] == "their mean"
    assert last["values"]["block2"]["mean"] == pytest.approx(78)
    assert last["values"]["block2"]["std"] == pytest.approx(np.std([70, 80, 84], ddof=1))
    assert [row["model"] for row in group["rows"]].count("3 runs (seeds 0, 3, 5)") == 1


def test_the_papers_rows_stand_beside_their_protocol_and_data(card):
    nonlinear, linear = facts.results([card])
    four, = [r for r in nonlinear["paper"] if r["method"] == "RotNet with 4 conv. blocks"]
    assert four["values"] == {"block1": 85.07, "block2": 89.06, "block3": 86.21, "block4": 61.73}
    assert "JPEG" in nonlinear["note"]
    # RotNet's linear rows are of ImageNet and Places: told, but in no table of ours
    assert linear["paper"] == [] and {r["data"] for r in linear["elsewhere"]} == {
        "imagenet2012", "places205"}
    assert all(r["data"] == "cifar10" for r in nonlinear["paper"])
    card["metrics"] = [metric("gidaris2018-linear", "tiny_imagenet_part/test", conv3=[0.1, 0.1])]
    small, = facts.results([card])  # the same tap, but not the same pictures
    assert small["paper"] == [] and small["note"] is None
    assert [r["values"]["conv3"] for r in small["elsewhere"]] == [38.7, 35.1]


def test_the_best_taps_classes_stand_beside_table_9(card):
    classes = dict.fromkeys(("airplane", "automobile", "cat"), 0.5)
    card["metrics"] = [metric("gidaris2018-conv", "cifar10_jpeg/test", block1=[0.6, 0.6],
                              block2=[0.7, 0.7])]
    card["metrics"][0]["details"] = {
        "block1": {CLASSES: dict.fromkeys(classes, 0.1)}, "block2": {CLASSES: classes}}
    taps, each = facts.results([card])
    assert facts.heading(each) == "gidaris2018-conv on cifar10_jpeg/test, accuracy of each class"
    ours, = each["rows"]
    assert ours["weights"] == "this entry, block2" and ours["values"]["cat"]["mean"] == 50
    paper, = each["paper"]
    assert paper["table"] == "R9" and paper["values"]["automobile"] == 95.8
    assert "R9" not in {row["table"] for row in taps["paper"] + taps["elsewhere"]}
    assert table(each)[2].startswith("| tiny@1 | this entry, block2 | 10 | 50.00 | 50.00 | 50.00 |")


def test_accuracies_over_training_are_told(card):
    card.update(over_training=[{"epoch": 4, "pretext": {"accuracy": 0.742}, "object": 0.66141,
                                "object_std": 0.0018, "protocol": "p", "tap": "block2"}],
                recipe={"initial": "other@1"}, data={"num_examples": 1000})
    lines = _over_training([card, {**card, "name": "other", "images_seen": 500,
                                   "over_training": None}])
    assert "| 4 | 4,500 | 74.2 % | 66.14 ± 0.18 |" in lines
    assert "other@1's weights" in "".join(lines)


def test_a_probe_of_this_model_is_of_this_entry_whatever_it_was_called(card):
    for called in ("runs/tiny", "tiny", "this entry"):
        card["metrics"][0]["settings"]["weights_from"] = called
        assert facts.results([card])[0]["rows"][0]["weights"] == "this entry"


def test_other_tasks_rows_are_not_beside(card):
    card["task"]["name"] = "jigsaw"
    assert all("RotNet" not in row["method"] for group in facts.results([card])
               for row in group["paper"])


def test_curves_are_read_thinned_and_keep_the_last_point(tmp_path):
    rows = [{"step": k, "images": 10 * k, "loss": 1 / (k + 1), "health": "fine", "seconds": 1.5}
            for k in range(1000)]
    rows += [{"step": 999, "test_accuracy": 0.7, "test_images": 2000}]
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 1000, "lo'
    (tmp_path / "metrics.jsonl").write_text(text)
    found = facts.curves(tmp_path / "metrics.jsonl")
    assert sorted(found) == ["loss", "test_accuracy"]
    assert found["test_accuracy"] == [(9990, 0.7)]
    assert len(found["loss"]) == 200 and found["loss"][-1] == (9990, 1 / 1000)
    assert facts.curves(tmp_path / "none.jsonl") is None


@pytest.mark.parametrize("low, high, expected", [
    (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.31, 0.78, [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]),
    (5, 5, [5, 6]), (0, 199_936, [0, 50_000, 100_000, 150_000, 200_000])])
def test_ticks_are_round_and_enclose(low, high, expected):
    assert charts.ticks(low, high) == pytest.approx(expected)


def test_charts_escape_and_skip_what_is_not_finite():
    drawn = charts.lines({"<b>": [(0, 1.0), (1, float("nan")), (2, 0.5)]}, "x", "y")
    assert "<b>" not in drawn and "&lt;b&gt;" in drawn and "nan" not in drawn
    assert charts.lines({"empty": []}, "x", "y") == ""
    assert charts.matrix([[3, 1], [0, 4]], ["<i>", "b"]).count("<rect") == 4


def test_confusions_are_counted_by_true_and_said():
    found = looks.confusion([0, 0, 1, 2], [0, 1, 1, 0], "abc", 4)
    assert found["matrix"] == [[1, 1, 0], [0, 1, 0], [1, 0, 0]] and found["accuracy"] == 0.5


def test_a_picture_never_votes_for_itself():
    vectors = np.array([[1, 0], [1, 0.01], [0, 1], [0.01, 1], [1, 0.6]], "float32")
    images = np.zeros((5, 4, 4, 3), "uint8")
    source = ArraySource(images, np.array([0, 0, 1, 1, 1]), class_names=("a", "b"))
    found = looks.knn_confusion(vectors, source, "t")
    assert found["matrix"] == [[2, 0], [1, 2]] and found["tap"] == "t"
    assert looks.knn_confusion(vectors, ArraySource(images), "t") is None


def test_the_sample_is_drawn_framed_and_keeps_its_labels(rng):
    images = np.repeat(np.arange(40, dtype="uint8")[:, None, None, None], 8, 1)
    images = np.broadcast_to(images, (40, 8, 6, 3)).copy()
    source = ArraySource(images, np.arange(40) % 4, class_names=tuple("abcd"))
    found = looks.sample(source, 4, 10)
    pictures, labels = found.arrays()
    assert pictures.shape == (10, 4, 4, 3) and found.class_names == tuple("abcd")
    np.testing.assert_array_equal(pictures[:, 0, 0, 0] % 4, labels)
    assert len(set(pictures[:, 0, 0, 0])) == 10
    with pytest.raises(ValueError, match="at least 2 pictures are looked at. Received: 1"):
        looks.sample(source, 4, 1)


# -- the whole way, once ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A zoo of one tiny entry, and its report on 24 noisy pictures with labels."""
    folder = tmp_path_factory.mktemp("report")
    keras.utils.set_random_seed(0)
    model = tasks.get("rotation").attach(backbones.get("network_in_network", blocks=2))
    entry = zoo.publish(model, "tiny", root=folder / "zoo", saved_model=False, card={
        "metrics": [metric("gidaris2018-nonlinear", "cifar10/test", block2=[0.5, 0.6])],
        "pretext": {"test_accuracy": 0.25}, "limits": "<script>alert(1)</script>",
        "command": "keras-pretext pretrain " + "a_very_long_path/" * 30})
    rng = np.random.default_rng(0)
    np.savez(folder / "pictures.npz", images=rng.integers(0, 256, (30, 32, 32, 3)).astype("uint8"),
             labels=np.arange(30) % 3)
    page = report.write(str(entry) + "/", folder / "out", data=str(folder / "pictures.npz"),
                        images=24)
    return page, json.loads((folder / "out" / "report.json").read_text()), entry


def test_the_page_holds_everything_and_asks_for_nothing(written):
    page, kept, _ = written
    text = page.read_text()
    for heading in ("Measured", "Puzzles and answers", "Filters", "Attention maps", "Units of",
                    "Nearest neighbours", "Nearest crops", "Pretext answers",
                    "Labels by the nearest pictures"):
        assert heading in text, heading
    assert "55.00 ± 7.07" in text and "89.06" in text
    assert set(re.findall(r'(?:src|href)="(data:image|data:,|#|[^"]*)', text)) == {
        "data:image", "data:,", "#"}
    assert not re.search(r"https?://", text)
    assert "<script" not in text and "&lt;script&gt;" in text
    assert sorted(path.name for path in page.parent.iterdir()) == ["report.html", "report.json"]
    model, = kept["models"]
    assert model["pretext_confusion"]["pictures"] == 24
    assert np.sum(model["pretext_confusion"]["matrix"]) == 4 * 24
    assert np.sum(model["knn_confusion"]["matrix"]) == 24
    assert all(-1 <= v["turned_back"] <= 1 for v in model["equivariance"].values())
    assert kept["results"][0]["rows"][0]["values"]["block2"]["scores"] == [50.0, 60.0]


def test_a_runs_folder_gives_its_curves_cost_and_added_metrics(tmp_path):
    run = tmp_path / "run"
    (run / "final").mkdir(parents=True)
    recipe = {"name": "short", "task": ["rotation", {"image_size": 32}], "seed": 7,
              "backbone": ["network_in_network", {"blocks": 3}]}
    (run / "manifest.json").write_text(json.dumps({
        "recipe": recipe, "parameters": 1234, "command": "keras-pretext pretrain short.py",
        "data": {"name": "scenes", "split": "train", "num_examples": 2000}}))
    (run / "final" / "metrics.json").write_text(json.dumps({
        "test_accuracy": 0.75, "images_seen": 4000, "wall_seconds": 120.0}))
    (run / "metrics.jsonl").write_text("".join(
        json.dumps({"step": k, "images": 100 * k, "loss": 1.4 - k / 50}) + "\n" for k in range(40)))
    page = report.write(str(run), tmp_path / "out", pictures=False, metrics=[
        metric("gidaris2018-linear", "scenes/test", str(run), block2=[0.5, 0.6])])
    text, kept = page.read_text(), json.loads((page.parent / "report.json").read_text())
    assert "short, this entry" in text and "2 minutes" in text and "4,000" in text
    assert text.count("<polyline") == 1 and "loss, training" in text
    model, = kept["models"]
    assert model["curves"]["loss"][-1] == [3900, pytest.approx(1.4 - 39 / 50)]
    assert model["pretext"] == {"test_accuracy": 0.75} and model["seed"] == 7


def test_bad_inputs_are_told_before_anything_is_written(written, tmp_path, monkeypatch):
    _, _, entry = written
    entry = str(entry) + "/"
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    (tmp_path / "run" / "final").mkdir(parents=True)
    for models, options, message in (
            ([], {}, "at least one model. Received: none"),
            ([str(tmp_path / "saved")], {}, "model with a card"),
            (["model.keras"], {}, "model with a card"),
            ([str(tmp_path / "run")], {}, "finished run has manifest.json"),
            (["no_such_model"], {}, "no_such_model"),
            (entry, {"data": str(tmp_path / "none.npz")}, "cannot be opened.*--no-pictures"),
            (entry, {"data": "scenes", "images": 1}, "at least 2 pictures"),
            ([entry, entry], {"metrics": [1]}, "more metrics are of one model"),
            (entry, {"metrics": [{"protocol": "p"}]}, "metric of a card")):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            report.write(models, tmp_path / "out", **options)
    monkeypatch.setattr(zoo, "info", lambda name: {"name": "bare", "metrics": [], "pretext": None})
    with pytest.raises(ValueError, match="no measured number.*--metrics"):
        report.write("bare", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_report_that_cannot_be_written_leaves_the_former_one(written, tmp_path, monkeypatch):
    page, _, entry = written
    monkeypatch.setattr(report.write.__globals__["pathlib"].Path, "write_text",
                        lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left")))
    before = page.read_bytes()
    with pytest.raises(OSError, match="could not be written"):
        report.write(str(entry) + "/", page.parent, pictures=False)
    assert page.read_bytes() == before


def test_the_scoreboard_groups_and_marks_the_papers(written):
    _, _, entry = written
    text = report.scoreboard(root=entry.parents[1])
    assert "## gidaris2018-nonlinear on cifar10/test" in text
    assert "| tiny@1 | this entry | 10 | 55.00 ± 7.07 |" in text
    assert re.search(r"\| RotNet with 4 conv. blocks, R1 \| paper \|  \| 89.06 \|", text)
    with pytest.raises(ValueError, match="needs a published model. Received: none"):
        report.scoreboard(root=entry)
    draft = entry.parent / ".draftab12"  # as a killed publish leaves it
    draft.mkdir()
    try:
        (draft / "card.json").write_text("{")
        assert report.scoreboard(root=entry.parents[1]) == text
    finally:
        shutil.rmtree(draft)


def test_a_page_holds_the_table_of_entries(written, tmp_path, capsys):
    from keras_pretext.cli import main
    from keras_pretext.evaluation.report.scoreboard import MARK

    _, _, entry = written
    page, out = tmp_path / "zoo.md", tmp_path / "board.md"
    page.write_text(f"before\n{MARK}\nold\n{MARK}\nafter\n")
    root = str(entry.parents[1])
    command = ["scoreboard", "--root", root, "--out", str(out), "--page", str(page)]
    assert main(command) == 0 and out.exists()
    assert capsys.readouterr().out.split() == [str(out), str(page)]
    text = page.read_text()
    assert text.startswith(f"before\n{MARK}\n| entry |") and text.endswith(f"{MARK}\nafter\n")
    assert "| [`tiny`](../zoo/tiny/1/README.md) | rotation | " in text and "old" not in text
    assert "| block2 55.00 ± 7.07 (gidaris2018-nonlinear on cifar10/test) | " in text
    assert report.with_entries(text, entry.parents[1]) == text
    page.write_text("no marks")
    assert main(command) == 2 and "between two lines" in capsys.readouterr().err
    assert page.read_text() == "no marks"


def show(written, tmp_path, what, *options):
    from keras_pretext.cli import main

    page, _, entry = written
    out = tmp_path / "show.png"
    code = main(["show", what, f"{entry}/", "--data", str(page.parents[1] / "pictures.npz"),
                 "--images", "20", "--out", str(out), *options])
    return code, np.asarray(Image.open(out)) if out.exists() else None


@pytest.mark.parametrize("what, options", [
    ("filters", ()), ("attention", ("--count", "2", "--turns")), ("tsne", ()),
    ("neighbours", ("--count", "3", "--grid", "2")),
    ("activations", ("--tap", "block1", "--unit", "3", "5", "--count", "2"))])
def test_show_draws(written, tmp_path, capsys, what, options):
    if what == "tsne":
        pytest.importorskip("sklearn")
    code, picture = show(written, tmp_path, what, *options)
    assert code == 0, capsys.readouterr().err
    assert picture.ndim == 3 and picture.std() > 1
    said = capsys.readouterr().out
    assert said.endswith("show.png\n") and ("turned back" in said) == (what == "attention")


@pytest.mark.parametrize("options, message", [
    (("attention", "--power", "0"), "power is a positive number. Received: 0.0"),
    (("attention", "--tap", "blok1"), "Did you mean 'block1'"),
    (("activations", "--tap", "block1", "--unit", "96"), "units 0 to 95. Received: 96"),
    (("neighbours", "--count", "20"), "1 to 19 neighbours each"),
    (("neighbours", "--count", "0"), "--count is at least 1"),
    (("tsne", "--images", "3"), "at least 4"), (("tsne", "--split", "x", "--data", "none.npz"),
                                                "none.npz")])
def test_show_tells_what_is_wrong_in_one_line(written, tmp_path, capsys, options, message):
    code, picture = show(written, tmp_path, *options)
    said = capsys.readouterr().err
    assert code == 2 and picture is None and said.count("\n") == 1 and message in said


# -- in a browser ----------------------------------------------------------------------------

PROBE = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" src="report.html" style="border:0;width:375px;height:800px"></iframe>
<script>
const frame = document.getElementById("page");
frame.onload = () => {
  const inside = frame.contentDocument, images = [...inside.images];
  const wide = [...inside.body.querySelectorAll("body > *")].filter(
    e => e.getBoundingClientRect().right > 376 && !e.closest(".wide")).map(e => e.outerHTML);
  const found = {images: images.length, broken: images.filter(i => !i.naturalWidth).length,
    width: inside.documentElement.scrollWidth, wide: wide.map(w => w.slice(0, 100)),
    headings: inside.querySelectorAll("h3").length, charts: inside.querySelectorAll("svg").length,
    font: parseFloat(inside.defaultView.getComputedStyle(inside.body).fontSize)};
  document.title = "done";
  document.body.innerHTML = "<pre>" + JSON.stringify(found).replaceAll("<", " ") + "</pre>";
};
</script>"""


def look(folder):
    """What a browser finds on `report.html` at phone width, its complaints, and what it asked for.
    """
    (folder / "probe.html").write_text(PROBE)
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-extensions", "--enable-logging=stderr", "--v=0",
             f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000", "--dump-dom",
             f"http://127.0.0.1:{server.server_port}/probe.html"],
            capture_output=True, text=True, timeout=900, check=True)
    finally:
        server.shutdown()
    found = re.search(r"<pre>(.*?)</pre>", done.stdout, re.S)
    assert found, (done.stdout[-2000:], done.stderr[-2000:])
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(found[1]), complaints, asked


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


@needs_browser
def test_the_page_is_whole_in_a_browser_at_phone_width(written, tmp_path):
    shutil.copy(written[0], tmp_path)
    found, complaints, asked = look(tmp_path)
    assert found["images"] > 60 and found["broken"] == 0
    assert found["width"] <= 375 and found["wide"] == []
    assert found["charts"] >= 2 and found["font"] >= 16
    assert not complaints
    assert set(asked) <= {"/probe.html", "/report.html", "/favicon.ico"}


@needs_browser
def test_the_browser_test_sees_what_it_looks_for(tmp_path):
    (tmp_path / "report.html").write_text(
        '<!doctype html><html><body><h3>x</h3><img src="data:image/png;base64,AAAA">'
        '<p style="width:900px">wide</p><script>console.error("oh"); none()</script></body></html>')
    found, complaints, _ = look(tmp_path)
    assert found["broken"] == 1 and found["width"] > 375 and found["wide"]
    assert len(complaints) >= 2
