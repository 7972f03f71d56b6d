import numpy as np
import pytest

from rtmo_plugin.media.drawing import draw_people

BLANK = np.full((80, 100, 3), 128, np.uint8)
POINTS = np.array([[[20.0, 40.0], [80.0, 40.0], [50.0, 70.0]]])
SKELETON = [(0, 1), (1, 2)]


def is_drawn(image, x, y):
    return bool((image[y, x] != 128).any())


def test_limbs_and_joints_are_where_the_keypoints_are():
    drawn = draw_people(BLANK, POINTS, np.ones((1, 3)), [SKELETON])
    assert is_drawn(drawn, 50, 40)  # on the first limb
    assert is_drawn(drawn, 65, 55)  # on the second
    assert not is_drawn(drawn, 35, 55)  # between the ends that nothing connects
    assert (BLANK == 128).all()  # the image that was given stays as it is


def test_uncertain_keypoints_and_their_limbs_are_left_out():
    drawn = draw_people(BLANK, POINTS, np.array([[0.9, 0.9, 0.2]]), [SKELETON], keypoint_thr=0.3)
    assert is_drawn(drawn, 50, 40)
    assert not is_drawn(drawn, 65, 55)
    assert not is_drawn(drawn, 50, 70)


def test_sides_are_told_apart():
    drawn = draw_people(BLANK, POINTS, np.ones((1, 3)), [SKELETON], flip_pairs=[(0, 1)])
    assert drawn[40, 20].min() > 200  # left: white
    assert drawn[40, 80].max() < 60  # right: dark


def test_people_have_colors_of_their_own():
    points = np.concatenate([POINTS, POINTS - [0, 30]])
    drawn = draw_people(BLANK, points, np.ones((2, 3)), [SKELETON] * 2)
    assert (drawn[40, 50] != drawn[10, 50]).any()


@pytest.mark.parametrize("num_people", [0, 1])
def test_nobody_and_an_image_of_one_pixel(num_people):
    points = np.zeros((num_people, 3, 2))
    assert draw_people(BLANK[:1, :1], points, np.ones((num_people, 3)), [SKELETON] * num_people).shape == (1, 1, 3)


@pytest.mark.parametrize("far", [1e12, -1e12, np.nan, np.inf])
def test_keypoints_far_away_do_no_harm(far):
    points = POINTS.copy()
    points[0, 2] = far
    assert is_drawn(draw_people(BLANK, points, np.ones((1, 3)), [SKELETON]), 50, 40)


def test_lines_are_thicker_on_larger_people():
    small = draw_people(np.full((4000, 4000, 3), 128, np.uint8), POINTS, np.ones((1, 3)), [SKELETON])
    large = draw_people(np.full((4000, 4000, 3), 128, np.uint8), POINTS * 40, np.ones((1, 3)), [SKELETON])
    heights = [int((image[:, x] != 128).any(axis=-1).sum()) for image, x in ((small, 50), (large, 2000))]
    assert 1 <= heights[0] < heights[1]


def test_words_stand_above_their_people_and_within_the_image():
    plain = draw_people(BLANK, POINTS, np.ones((1, 3)), [SKELETON])
    written = draw_people(BLANK, POINTS, np.ones((1, 3)), [SKELETON], texts=["cat"])
    rows, columns = np.nonzero((plain != written).any(axis=-1))
    assert 10 < rows.min() < rows.max() < 40
    assert 20 < columns.min() < columns.max() < 80
    corner = draw_people(BLANK, POINTS - [60, 60], np.ones((1, 3)), [SKELETON], texts=["cat"])
    unwritten = draw_people(BLANK, POINTS - [60, 60], np.ones((1, 3)), [SKELETON])
    assert (corner != unwritten)[:20, :30].any()
    nobody = draw_people(BLANK, POINTS, np.zeros((1, 3)), [SKELETON], texts=["cat"])
    assert (nobody == 128).all()


def test_hands_and_faces_are_drawn_finer_than_the_body():
    """Twenty points in 20 pixels of a person of 400 pixels stay apart; a body of the same size has its thick limbs."""
    body = np.array([[100.0, 40.0], [100.0, 440.0]])
    hand = np.stack([300 + 8.0 * np.arange(5), np.full(5, 60.0)], axis=1)
    points = np.concatenate([body, hand])[None]
    skeleton = [(0, 1), *((k, k + 1) for k in range(2, 6))]
    blank = np.full((480, 400, 3), 255, np.uint8)
    drawn = draw_people(blank, points, np.ones((1, 7)), [skeleton])
    is_ink = (drawn != 255).any(axis=-1)
    assert 1 <= is_ink[:, 304].sum() < is_ink[240].sum()  # widths of a finger's limb and of the body's
    assert 1 <= is_ink[:, 300].sum() <= 10  # a joint of the hand; one of the body has 17


def test_points_that_are_not_finite_are_left_out_without_a_warning(recwarn):
    points = np.array([[[10.0, 10.0], [np.nan, 5.0], [np.inf, np.inf]]])
    draw_people(np.zeros((40, 40, 3), np.uint8), points, np.ones((1, 3)), [[(0, 1)]])
    assert not recwarn.list
