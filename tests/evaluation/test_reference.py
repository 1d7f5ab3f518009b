"""The papers' tables: their shape, and numbers read off the papers by hand."""

import math

import pytest

from keras_pretext.evaluation import reference

TABLES = reference.tables()
# whoever adds a row says so here
ROWS = (3, 4, 10, 9, 11, 12, 15, 2, 2, 10, 15, 7, 5, 11, 13, 4, 7, 6, 4, 5, 7, 5)
OURS = {None, "random", "rescaled random", "rotation", "relative_patch", "jigsaw", "autoencoder",
        "damaged_jigsaw", "colorization", "inpainting", "split_brain", "exemplar", "counting",
        "noise_targets", "motion_segmentation", "transitive", "ensemble", "classification"}


def cell(table, method, column):
    one = TABLES[table]
    place = [c["name"] for c in one["columns"]].index(column)
    row, = [row for row in one["rows"] if row["method"] == method]
    return row["values"][place]


def test_there_are_22_tables_of_the_right_length():
    assert list(TABLES) == [f"R{k}" for k in range(1, 23)]
    assert tuple(len(one["rows"]) for one in TABLES.values()) == ROWS


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_the_columns_of_its_table(name):
    one = TABLES[name]
    assert one["title"] and one["source"] and isinstance(one["notes"], list)
    names = [column["name"] for column in one["columns"]]
    assert len(set(names)) == len(names)
    for column in one["columns"]:
        if column["unit"] != "text":
            assert column["better"] in ("higher", "lower") and column["data"]
            assert "protocol" in column
    methods = [row["method"] for row in one["rows"]]
    assert len(set(methods)) == len(methods)
    for row in one["rows"]:
        assert len(row["values"]) == len(one["columns"]), row
        assert row["ours"] in OURS, row
        assert set(row.get("spread", ())) <= set(names)
        for column, value in zip(one["columns"], row["values"], strict=True):
            if column["unit"] == "text":
                assert value is None or isinstance(value, str), row
            elif value is not None:
                assert math.isfinite(value) and 0 < value < 100, row


@pytest.mark.parametrize("table, method, column, value", [
    ("R1", "RotNet with 4 conv. blocks", "ConvB2", 89.06),
    ("R1", "RotNet with 3 conv. blocks", "ConvB4", None),
    ("R1", "RotNet with 5 conv. blocks", "ConvB5", 50.37),
    ("R2", "2 rotations (90°, 270°)", "accuracy", 85.52),
    ("R3", "RotNet + conv", "accuracy", 91.16),
    ("R4", "RotNet", "Conv5", 43.8),
    ("R5", "RotNet", "Conv3", 38.7),
    ("R5", "Jigsaw Puzzles (Noroozi & Favaro, 2016)", "Conv5", 27.1),
    ("R6", "Counting", "Conv3", 36.3),
    ("R7", "RotNet", "class fc6-8", 70.87),
    ("R7", "Jigsaw", "seg all", 37.6),
    ("R8", "RotNet", "tv", 55.3),
    ("R9", "Supervised", "cat", 82.4),
    ("R10", "Exemplar-CNN (92c5-256c5-512c5-1024f)", "STL-10", 74.2),
    ("R11", "VGG-Context-rescale", "mAP", 61.7),
    ("R12", "Context encoder", "Segmentation", 30.0),
    ("R13", "Jigsaw", "Pretraining time", "2.5 days"),
    ("R14", "Autoencoder", "class fc6-8", 16.0),
    ("R15", "CDJP", "Class.", 69.2),
    ("R16", "Eval Only Lasso", "ImageNet", 70.18),
    ("R17", "RP+Col+Ex+MS", "NYU", 79.25),
    ("R18", "Transitive invariance", "mAP", 63.2),
    ("R19", "Transitive invariance (HOG)", "person", 67.2),
    ("R20", "Multi-Task", ">c5", 27.6),
    ("R21", "ImageNet (shorter)", "APL", 37.4),
    ("R22", "Transitive invariance", "Median", 18.0)])
def test_numbers_read_by_hand(table, method, column, value):
    assert cell(table, method, column) == value


@pytest.mark.parametrize("table", ["R11", "R18", "R19"])
def test_a_detection_rows_classes_average_to_its_map(table):
    """A number in the wrong column, or of another row, would not."""
    columns = [column["name"] for column in TABLES[table]["columns"]]
    for row in TABLES[table]["rows"]:
        values = dict(zip(columns, row["values"], strict=True))
        whole = values.pop("mAP")
        assert len(values) == 20
        assert sum(values.values()) / 20 == pytest.approx(whole, abs=0.056), row["method"]


@pytest.mark.parametrize("method, whole", [("ImageNet labels", 56.5), ("RotNet", 54.4)])
def test_rotnets_classes_average_to_its_map(method, whole):
    row, = [row for row in TABLES["R8"]["rows"] if row["method"] == method]
    assert sum(row["values"]) / 20 == pytest.approx(whole, abs=0.0501)


def test_where_the_tables_disagree_both_rows_say_so():
    """Wang and Gupta's detection, Doersch's classification: two tables, two numbers."""
    for name, method, number in (("R13", "Wang and Gupta", "47.4"), ("R14", "Wang & Gupta", "44.0"),
                                 ("R12", "Doersch et al.", "65.3"), ("R7", "Context", "55.3"),
                                 ("R7", "BiGAN", "58.6"), ("R15", "Adversarial [6]", "60.1"),
                                 ("R12", "ImageNet", "79.9"), ("R18", "Context", "61.7")):
        row, = [r for r in TABLES[name]["rows"]
                if r["method"] == method.removesuffix(" [6]")]
        assert number in row["note"], (name, method)
        assert all(number != str(value) for value in row["values"])


def test_a_rows_own_protocol_wins_over_the_tables():
    found = reference.beside("gidaris2018-linear", "rotation")
    assert [(row.table, row.data) for row in found] == [("R5", "imagenet2012"), ("R6", "places205")]
    assert found[0].values["Conv3"] == 38.7 and found[0].taps["Conv3"] == "conv3"
    assert all(row.ours != "rotation" for row in reference.beside("zhang2016-linear"))


def test_a_row_is_split_by_protocol_and_data():
    parts = [row for row in reference.rows() if row.table == "R7" and row.method == "RotNet"]
    assert [(row.protocol, row.data, row.values) for row in parts] == [
        ("krahenbuhl2015-voc07-cls", "voc/2007", {"class fc6-8": 70.87, "class all": 72.97}),
        ("girshick2015-fast-rcnn", "voc/2007", {"det all": 54.4}),
        ("long2015-fcn", "voc/2012", {"seg all": 39.1})]


def test_protocols_of_the_package_are_those_of_the_tables():
    from keras_pretext.evaluation import conv, linear, nonlinear

    names = {row.protocol for row in reference.rows()}
    for function in (linear, nonlinear, conv):
        assert function.__globals__["PROTOCOL"] in names


def test_an_unknown_table_is_told():
    with pytest.raises(ValueError, match="unknown reference table.*Received: 'R23'"):
        reference.table("R23")


def test_what_is_handed_out_is_a_copy():
    reference.tables()["R1"]["rows"].clear()
    assert reference.table("R1")["rows"]
