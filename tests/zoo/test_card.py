"""The card: its fields, and the table that a reader sees."""

import pytest

from keras_pretext.zoo.card import Card, check, probe_table, render, weights_of


def metric(weights, last, epochs=100):
    return {"protocol": "gidaris2018-nonlinear", "settings": {"weights_from": weights,
                                                              "epochs": epochs},
            "taps": {"block2": {"last_mean": last, "last_std": 0.0012, "best_mean": last + 0.01}}}


PAPER = {"gidaris2018-nonlinear": {"source": "Gidaris et al. (2018), Table 1",
                                   "taps": {"block1": 85.07, "block2": 89.06}}}


def a_card(**fields):
    return Card(name="tiny", version=2, task={"name": "rotation", "config": {"image_size": 32}},
                backbone={"name": "network_in_network", "config": {"blocks": 3}},
                taps={"block2": {"channels": 192, "stride": 4}}, image_size=32, **fields)


def test_table_puts_random_supervised_and_the_paper_beside_it():
    rows = probe_table([metric("tiny", 0.8512), metric("random", 0.652)], PAPER)
    assert rows == [
        "| protocol | weights | epochs | block2 |",
        "|---|---|---|---|",
        "| gidaris2018-nonlinear | tiny | 100 | 85.12 ± 0.12 (86.12) |",
        "| gidaris2018-nonlinear | random | 100 | 65.20 ± 0.12 (66.20) |",
        "| gidaris2018-nonlinear | Gidaris et al. (2018), Table 1 | | 89.06 |"]


def test_table_tells_pictures_from_others_and_few_labels_from_many():
    both = [metric("tiny", 0.8), metric("tiny", 0.1)]
    both[0]["settings"].update(train="cifar10/train", image_size=64)
    both[1]["settings"].update(train="stl10/train", labels_a_class=20)
    assert probe_table(both, PAPER) == [
        "| protocol | pictures | weights | epochs | block2 |",
        "|---|---|---|---|---|",
        "| gidaris2018-nonlinear | cifar10, 64 px | tiny | 100 | 80.00 ± 0.12 (81.00) |",
        "| gidaris2018-nonlinear | stl10 | tiny | 100, 20 labels a class | 10.00 ± 0.12 (11.00) |",
        "| gidaris2018-nonlinear |  | Gidaris et al. (2018), Table 1 | | 89.06 |"]


def test_a_metric_by_the_entrys_name_and_version_is_its_own():
    assert [weights_of(metric(called, 0.5), "tiny") for called in (
        "tiny", "tiny@2", "runs/other", "tiny@", "tiny2@2", "random", "supervised")] == [
            *["this entry"] * 3, "tiny@", "tiny2@2", "random", "supervised"]


def test_readme_says_what_is_known_and_what_is_not():
    text = render(a_card(
        data={"name": "scenes", "split": "train", "num_examples": 4000, "fingerprint": "ab" * 32},
        images_seen=1_000_000, wall_seconds=600, licence="CC0", pretext={"test_accuracy": 0.9},
        metrics=[metric("tiny", 0.85)], paper=PAPER).to_dict())
    for line in ("# tiny, version 2", "- **Images seen**: 1,000,000", "- **Licence**: CC0",
                 "- **Wall time**: 10 minutes", "- **Hardware**: not recorded",
                 "- **Data**: scenes/train, 4,000 images, fingerprint `abababababababab`",
                 "- test_accuracy: 0.9000", "Backbone `network_in_network` blocks=3"):
        assert line in text.splitlines()
    assert 'zoo.load("tiny@2", taps="block2", pooling="avg")' in text


def test_a_card_of_unknown_fields_or_empty_metrics_is_refused():
    with pytest.raises(ValueError, match="unknown field.*Did you mean 'limits'"):
        check({"limit": "none"})
    with pytest.raises(ValueError, match="a metric of a card is"):
        a_card(metrics=[{"protocol": "p", "taps": {"block1": {"last_mean": 1.0}}}])
    assert Card(**a_card(licence="CC0").to_dict()) == a_card(licence="CC0")
