import numpy as np
import pytest
from small_backbones import pixels

from keras_pretext.visualize import nearest_crops, neighbours
from keras_pretext.visualize.neighbours import grid_boxes


@pytest.fixture
def colours():
    """Plain pictures: red, orange, green, blue, dark red."""
    plain = np.array([(250, 0, 0), (250, 100, 0), (0, 250, 0), (0, 0, 250), (90, 0, 10)], "uint8")
    return np.broadcast_to(plain[:, None, None], (5, 8, 8, 3)).copy()


def test_the_nearest_by_cosine_without_the_query_itself(colours):
    found, box = nearest_crops(pixels(), colours, [0, 3], "pixels", count=2)
    assert box == (0, 0, 8, 8)
    # length does not count: dark red is nearer to red than orange is
    assert [one.index for one in found[0]] == [4, 1]
    assert found[0][0].cosine == pytest.approx(90 / np.hypot(90, 10), abs=1e-6)
    assert [one.index for one in found[3]] == [4, 0]


def test_a_crop_is_found_where_it_lies(colours):
    colours[2, 4:, :4] = (240, 0, 0)  # a red corner in the green picture
    found, centre = nearest_crops(pixels(), colours, 0, "pixels", count=4, grid=3)
    assert centre == (2, 2, 6, 6)
    places = {one.index: one for one in found[0]}
    assert places[2].box == (4, 0, 8, 4) and places[2].cosine == pytest.approx(1, abs=1e-5)
    # a picture answers once
    assert len(places) == 4
    whole, _ = nearest_crops(pixels(), colours, 0, "pixels", count=4)
    assert {one.index: one.cosine for one in whole[0]}[2] < 0.6


@pytest.mark.parametrize("size, grid, side", [(8, 1, 8), (8, 3, 4), (9, 2, 6), (32, 4, 12)])
def test_boxes_cover_the_picture_and_stay_inside(size, grid, side):
    boxes = grid_boxes(size, grid)
    assert len(set(boxes)) == grid * grid
    seen = np.zeros((size, size), bool)
    for top, left, bottom, right in boxes:
        assert bottom - top == right - left == side and top >= 0 and left >= 0
        assert bottom <= size and right <= size
        seen[top:bottom, left:right] = True
    assert seen.all()


def test_rows_for_a_sheet(colours):
    row, = neighbours(pixels(), colours, 1, "pixels", count=2, grid=2)
    assert [title.split(":")[0] for title, _ in row] == ["query 1", "0", "4"]
    np.testing.assert_array_equal(row[0][1], colours[1, :5, :5])


def test_what_makes_no_sense_is_refused(colours):
    network = pixels()
    for arguments, message in (
            (dict(queries=5), "a query is one of the pictures, 0 to 4. Received: 5"),
            (dict(queries=0, count=5), "1 to 4 neighbours each. Received: count=5"),
            (dict(queries=0, count=0), "neighbours each. Received: count=0"),
            (dict(queries=0, count=1, grid=0), "grid is at least 1"),
            (dict(queries=0, count=1, tap="pixel"), "Did you mean 'pixels'")):
        with pytest.raises(ValueError, match=message):
            nearest_crops(network, colours, **{"tap": "pixels", **arguments})
    colours[0] = 0
    with pytest.raises(ValueError, match="all zero for the query"):
        nearest_crops(network, colours, 0, "pixels", count=1)
    # a picture without features is near to nothing
    assert nearest_crops(network, colours, 1, "pixels", count=4)[0][1][-1].cosine == 0
