"""Figures in the documents are those of the cards."""

import pathlib
import re

from keras_pretext import zoo

ROOT = pathlib.Path(__file__).resolve().parents[1]


def row(page, title):
    """The numbers of a table's row."""
    line, = re.findall(rf"^\| {re.escape(title)} \|(.*)\|$", page, re.M)
    return [float(cell) for cell in line.split("|") if cell.strip()]


def means(name, protocol, weights, taps, epochs, crops=None, data=""):
    metric, = [m for m in zoo.info(name)["metrics"] if m["protocol"] == protocol
               and m["settings"]["weights_from"] == weights and m["settings"]["epochs"] == epochs
               and m["settings"].get("crops") == crops
               and m["settings"]["test"].startswith(data)]
    return [round(100 * metric["taps"][tap]["last_mean"], 2) for tap in taps]


def test_the_task_pages_tables_are_the_cards():
    page = (ROOT / "docs" / "tasks" / "rotation.md").read_text()
    for title, weights in (("RotNet", "this entry"), ("random weights", "random")):
        assert row(page, f"non-linear probe, {title}") == means(
            "rotnet_nin", "gidaris2018-nonlinear", weights,
            ("block1", "block2", "block3", "block4"), 10)
        assert row(page, f"linear probe, {title}") == means(
            "rotnet_alexnet", "gidaris2018-linear", weights,
            [f"conv{k}" for k in range(1, 6)], 15)
    for blocks in (3, 5):
        assert row(page, f"non-linear probe, {blocks} blocks") == means(
            f"rotnet_nin_{blocks}_blocks", "gidaris2018-nonlinear", "this entry",
            [f"block{k + 1}" for k in range(blocks)], 10)
        assert row(page, f"linear probe of 30 epochs, {blocks} blocks") == means(
            f"rotnet_nin_{blocks}_blocks", "gidaris2018-linear", "this entry",
            [f"block{k + 1}" for k in range(blocks)], 30)
    assert row(page, "non-linear probe, random weights of 5 blocks") == means(
        "rotnet_nin_5_blocks", "gidaris2018-nonlinear", "random",
        [f"block{k + 1}" for k in range(5)], 10)
    assert row(page, "non-linear probe, `supervised_nin`") == means(
        "rotnet_nin", "gidaris2018-nonlinear", "supervised", ["block1", "block2", "block3"], 10)
    longer, = means("rotnet_nin", "gidaris2018-nonlinear", "this entry", ["block2"], 30)
    assert f"{longer:.2f} % with a probe of 30 epochs" in page
    longer, = means("rotnet_nin", "gidaris2018-nonlinear", "this entry", ["block2"], 30, crops=30)
    assert f"{longer:.2f} % where each of them has another random crop" in page
    for name, title, taps in (
            ("jigsaw_alexnet", "jigsaw", [f"conv{k}" for k in range(1, 6)]),
            ("colorization_alexnet", "colorization", [f"conv{k}" for k in range(1, 6)]),
            ("context_alexnet", "relative_patch", [f"conv{k}" for k in range(1, 6)]),
            ("exemplar_cnn_64c5-64c5-128f", "exemplar", ["conv2", "pool2", "fc"]),
            ("transitive_vgg16", "transitive", ["conv1_2", "conv2_2", "conv3_3", "conv4_3",
                                                "conv5_3"])):
        other = (ROOT / "docs" / "tasks" / f"{title}.md").read_text()
        for kind, weights in ((title.replace("_", " "), "this entry"),
                              ("random weights", "random")):
            assert row(other, f"linear, {kind}") == means(
                name, "gidaris2018-linear", weights, taps, 5)
            assert row(other, f"non-linear, {kind}") == means(
                name, "gidaris2018-nonlinear", weights, taps[-3:], 5)
    page_of_transitive = (ROOT / "docs" / "tasks" / "transitive.md").read_text()
    for kind, taps in (("linear", ["conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"]),
                       ("non-linear", ["conv3_3", "conv4_3", "conv5_3"])):
        assert row(page_of_transitive, f"{kind}, supervised") == means(
            "transitive_vgg16", f"gidaris2018-{kind.replace('-', '')}", "supervised", taps, 5)
    five = [f"conv{k}" for k in range(1, 6)]
    for name, page_of, titles, taps in (
            ("counting_alexnet", "counting",
             ("counting", "random weights", "supervised"), five[2:]),
            ("split_brain_alexnet", "split_brain",
             ("split-brain", "random weights", "supervised"), five),
            ("exemplar_triplet_alexnet", "exemplar",
             ("triplets", "triplets, random weights", "triplets, supervised"), five)):
        other = (ROOT / "docs" / "tasks" / f"{page_of}.md").read_text()
        for title, weights in zip(titles, ("this entry", "random", "supervised"), strict=True):
            assert row(other, f"linear, {title}") == means(
                name, "gidaris2018-linear", weights, taps, 5, data="cifar10_jpeg")
            assert row(other, f"non-linear, {title}") == means(
                name, "gidaris2018-nonlinear", weights, taps[-3:], 5)
    page_of_ensemble = (ROOT / "docs" / "tasks" / "ensemble.md").read_text()
    for title, weights in (("RP+Col", "this entry"), ("random weights", "random"),
                           ("supervised", "supervised")):
        line, = re.findall(rf"^\| {re.escape(title)} \|(.*)\|$", page_of_ensemble, re.M)
        assert [float(cell.partition("±")[0]) for cell in line.split("|")] == means(
            "ensemble_resnet", "gidaris2018-linear", weights, ["block1", "block2", "block3"], 5
        ) + means("ensemble_resnet", "gidaris2018-nonlinear", weights, ["block3"], 5)
    page_of_exemplar = (ROOT / "docs" / "tasks" / "exemplar.md").read_text()
    for title, weights, first in (("middle size", "this entry", 0),
                                  ("middle size, random weights", "random", 1)):
        taps = ["conv2", "pool2", "conv3", "fc"]
        name = "exemplar_cnn_64c5-128c5-256c5-512f"
        assert row(page_of_exemplar, f"linear, {title}") == means(
            name, "gidaris2018-linear", weights, taps, 5)
        assert row(page_of_exemplar, f"non-linear, {title}") == means(
            name, "gidaris2018-nonlinear", weights, taps[first:], 5)
    assert row(page_of_exemplar, "linear, middle size, supervised") == means(
        name, "gidaris2018-linear", "supervised", taps, 5)
    assert row(page_of_exemplar, "non-linear, middle size, supervised") == means(
        name, "gidaris2018-nonlinear", "supervised", ["pool2"], 5)
    for title, weights in (("largest size", "this entry"),
                           ("largest size, supervised", "supervised"),
                           ("largest size, random weights", "random")):
        name = "exemplar_cnn_92c5-256c5-512c5-1024f"
        assert row(page_of_exemplar, f"linear, {title}") == means(
            name, "gidaris2018-linear", weights, taps, 5)
        assert row(page_of_exemplar, f"non-linear, {title}") == means(
            name, "gidaris2018-nonlinear", weights, ["pool2"], 5)
    for title, protocol in (
            ("a convolutional classifier on block2, 5 epochs of 10,000 pictures", ""),
            ("all of it trained with those labels alone, as long", "-finetuned")):
        assert row(page, title) == [
            round(100 * m["taps"]["block2"]["last_mean"], 2)
            for m in zoo.info("rotnet_nin")["metrics"]
            if m["protocol"] == f"gidaris2018-semi-supervised{protocol}"]
    for name in ("rotnet_nin", "rotnet_alexnet"):
        assert f"{100 * zoo.info(name)['pretext']['test_accuracy']:.1f} %" in page


def test_every_page_is_reachable_from_the_index():
    docs = ROOT / "docs"
    index = (docs / "index.md").read_text()
    for page in docs.rglob("*.md"):
        if page.name != "index.md":
            assert f"({page.relative_to(docs).as_posix()})" in index, page
    for page in [*docs.rglob("*.md"), ROOT / "README.md"]:
        for target in re.findall(r"\]\(([\w/.]+\.(?:md|png|py))\)", page.read_text()):
            assert (page.parent / target).exists(), (page, target)


def test_the_scoreboard_is_current():
    from keras_pretext.evaluation import report

    again = ("make it again: keras-pretext scoreboard --root zoo --out docs/scoreboard.md "
             "--page docs/zoo.md")
    page, zoo = ((ROOT / "docs" / name).read_text(encoding="utf-8")
                 for name in ("scoreboard.md", "zoo.md"))
    assert page == report.scoreboard(root=ROOT / "zoo"), again
    assert zoo == report.with_entries(zoo, ROOT / "zoo"), again
