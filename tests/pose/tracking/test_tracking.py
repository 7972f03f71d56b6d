"""Ids stay with people: on walkers with known identities, and in small cases written out."""

import numpy as np
import pytest

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.pose.tracking.association import Poses, match_best
from rtmo_plugin.pose.tracking.motion import Motion
from rtmo_plugin.pose.tracking.tracker import NO_ID, Tracker
from rtmo_plugin.runtime.detections import Detections
from tests.pose.tracking.walkers import SIGMAS, Detector, Walkers, compute_idf1, make_people

FPS = 25.0


def track_walkers(detector, num_frames, num_walkers=6, seed=0, fps=FPS, **options):
    """Return who could be seen, and who was found as whom, for each frame."""
    rng = np.random.default_rng(seed)
    walkers, tracker = Walkers.sample(rng, num_walkers), Tracker(SIGMAS, **options)
    truth, found = [], []
    for time in np.arange(num_frames) / fps:
        people, names, visible = detector.look(rng, walkers, time)
        ids = tracker.update(people, time)
        truth.append(visible)
        found.append([(who, name) for who, name in zip(names, ids) if name != NO_ID])
    return truth, found


def stand(x, y=300.0, height=180.0, score=0.9):
    """Return one person standing at a place."""
    one = Walkers(np.array([[x, y]]), np.zeros((1, 2)), np.array([height]), np.zeros(1))
    return make_people(one.locate(0.0), np.array([score]))


def join(*people):
    return Detections.join(people)


@pytest.mark.parametrize("seed", range(3))
def test_ids_of_walkers_without_long_occlusions(seed):
    assert compute_idf1(*track_walkers(Detector(), 150, seed=seed)) >= 0.95


@pytest.mark.parametrize("fps", [5.0, 12.0, 60.0])
def test_ids_at_other_frame_rates(fps):
    assert compute_idf1(*track_walkers(Detector(), int(6 * fps), fps=fps)) >= 0.95


def test_who_is_long_out_of_sight_is_somebody_new():
    truth, found = track_walkers(Detector(invented=0.0, wall=(500.0, 900.0)), 300)
    assert len({name for frame in found for _, name in frame}) > 6
    assert 0.3 < compute_idf1(truth, found) < 0.95


def test_a_measure_of_ids_that_sees_what_is_wrong():
    truth = [[0, 1]] * 4
    right = [[(0, 5), (1, 7)]] * 4
    swapped = right[:2] + [[(0, 7), (1, 5)]] * 2
    assert compute_idf1(truth, right) == 1.0
    assert compute_idf1(truth, swapped) == 0.5
    assert compute_idf1(truth, [frame[:1] for frame in right]) == pytest.approx(2 / 3)  # nobody finds the second
    assert compute_idf1(truth, [[*frame, (-1, 9)] for frame in right]) == pytest.approx(16 / 20)


def test_somebody_comes_back_after_a_short_occlusion_where_the_walk_leads():
    tracker = Tracker(SIGMAS, max_lost=1.5)
    walk = {frame / 25: stand(100 + 6 * frame) for frame in range(60)}
    ids = [tracker.update(people, time)[0] for time, people in walk.items() if not 0.8 < time < 1.8]
    assert set(ids) == {1}


def test_somebody_who_is_gone_too_long_is_new():
    for gap, expected in ((1.0, 1), (2.0, 2)):
        tracker = Tracker(SIGMAS, max_lost=1.5)
        tracker.update(stand(100), 0.0)
        tracker.update(stand(100).select([]), 0.1)
        tracker.update(stand(100), gap)
        assert tracker.update(stand(100), 0.1 + gap).tolist() == [expected]


def test_two_who_pass_each_other_keep_their_ids():
    tracker = Tracker(SIGMAS)
    ids = [
        tracker.update(join(stand(100 + 8 * n), stand(500 - 8 * n, y=304.0)), n / 25)  # they meet at n = 25
        for n in range(50)
    ]
    assert {tuple(each) for each in np.array(ids).tolist()} == {(1, 2)}


def test_order_of_people_does_not_matter():
    forth, back = Tracker(SIGMAS), Tracker(SIGMAS)
    crowd = [join(*(stand(150 * k + 3 * n) for k in range(1, 6))) for n in range(5)]
    for people in crowd:
        ids, reversed_ids = forth.update(people), back.update(people.select(slice(None, None, -1)))
    assert sorted(ids) == sorted(reversed_ids) == [1, 2, 3, 4, 5]
    assert len(set(zip(ids, reversed_ids[::-1]))) == 5


def test_unsure_people_continue_a_track_and_start_none():
    tracker = Tracker(SIGMAS, start_score=0.4)
    assert tracker.update(stand(100, score=0.3)).tolist() == [NO_ID]
    assert tracker.update(stand(100, score=0.5)).tolist() == [NO_ID]  # seen for the first time
    assert tracker.update(stand(100, score=0.5)).tolist() == [1]
    assert tracker.update(stand(100, score=0.2)).tolist() == [1]


def test_somebody_in_the_first_frame_has_an_id_at_once_and_who_flashes_up_never():
    tracker = Tracker(SIGMAS, min_seen=3)
    assert tracker.update(stand(100)).tolist() == [1]
    flash = [tracker.update(join(stand(100), stand(800))).tolist() for _ in range(2)]
    assert flash == [[1, NO_ID]] * 2
    assert tracker.update(stand(100)).tolist() == [1]
    assert tracker.update(join(stand(100), stand(800))).tolist() == [1, NO_ID]
    assert (tracker.num_ids, tracker.ids) == (1, {1})


def test_a_person_found_twice_is_one():
    tracker = Tracker(SIGMAS)
    twice = join(stand(100), stand(102, score=0.8), stand(400))
    assert tracker.update(twice).tolist() == [1, NO_ID, 2]
    assert tracker.update(twice).tolist() == [1, NO_ID, 2]


def test_classes_are_not_mixed():
    cat = stand(100)
    dog = Detections(cat.boxes, cat.scores, cat.keypoints, cat.keypoint_scores, cat.labels + 1)
    tracker = Tracker(SIGMAS)
    assert tracker.update(cat).tolist() == [1]
    assert tracker.update(dog).tolist() == [NO_ID]
    assert tracker.update(dog).tolist() == [2]


def test_nobody_is_a_frame_too():
    tracker, nobody = Tracker(SIGMAS), stand(100).select(slice(0, 0))
    assert tracker.update(nobody).tolist() == []
    for expected in ([NO_ID], [1]):
        assert tracker.update(stand(100)).tolist() == expected
    assert tracker.update(nobody).dtype == np.int64


def test_wrong_values_are_refused():
    with pytest.raises(ConfigError, match="min_seen must be a whole number from 1 to"):
        Tracker(SIGMAS, min_seen=0)
    tracker = Tracker(SIGMAS)
    tracker.update(stand(100), 2.0)
    with pytest.raises(ValueError, match=r"later than the previous one at 2\.0 s, got 2\.0 s"):
        tracker.update(stand(100), 2.0)


def test_oks_is_that_of_coco():
    seen = stand(100)
    moved = seen.keypoints + np.array([3.0, -4.0])
    areas = np.array([2000.0])
    poses = [Poses(keypoints, np.ones((1, 17)), areas, seen.labels) for keypoints in (seen.keypoints, moved)]
    expected = np.exp(-25 / (2 * (2 * SIGMAS) ** 2 * 2000)).mean()
    before, after = poses
    assert before.compare(after, SIGMAS) == pytest.approx(expected, rel=1e-6)
    assert before.compare(before, SIGMAS) == pytest.approx(1.0)
    assert before.compare(after, SIGMAS, np.array([0.1])) > before.compare(after, SIGMAS)


def test_the_best_pairs_are_those_of_all_together():
    rng = np.random.default_rng(0)
    similarities = rng.random((4, 5))
    pairs = match_best(similarities, 0.0)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == 4
    assert match_best(similarities, 1.1) == []
    assert match_best(np.zeros((0, 3)), 0.5) == []


def test_motion_learns_a_speed_and_grows_unsure_without_sight():
    motion = Motion.start()
    place, seen = 0.0, 0.0
    for _ in range(20):
        motion, place, seen = motion.predict(0.1), place + motion.velocity[0] * 0.1, seen + 0.2
        motion, share = motion.correct(np.array([seen - place, 0.0]))
        place += share * (seen - place)
    assert motion.velocity == pytest.approx([2.0, 0.0], abs=0.1)
    assert motion.predict(0.2).variance > motion.predict(0.1).variance > motion.variance
