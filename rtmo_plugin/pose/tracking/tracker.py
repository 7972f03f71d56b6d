"""Who is who from frame to frame: ids that stay with people, also through short occlusions.

A person's pose is carried on at the speed of the body (see ``motion``), and compared by OKS with the
people of the next frame, where what the motion leaves open adds to the tolerance.  The best pairs of
all are taken together, first for those seen in the last frame, then for those out of sight.  Detections
of low score continue a track and start none, which is ByteTrack's idea (Zhang et al., ECCV 2022).

Why no tracking library: supervision's ByteTrack is deprecated in favor of ``trackers``, which compares
boxes by IoU and knows no keypoints; boxmot wants torch and is AGPL; norfair does keypoints, but asks for
NumPy 1, which has no wheels for Python 3.13, and for FilterPy, which has had no release since 2018.  So
these few lines are here, and the assignment is SciPy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.number_ranges import AMOUNT, COUNT, FRACTION
from rtmo_plugin.pose.tracking.association import Poses, match_best
from rtmo_plugin.pose.tracking.motion import Motion
from rtmo_plugin.runtime.detections import Detections

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

NO_ID = -1
FRAMES_A_SECOND = 30.0  # for frames without times
_MIN_SIMILARITY = 0.3  # of an expected and a seen pose that are one person
_MAX_SIMILARITY = 0.7  # of two people in one frame; above it, they are one person found twice


@dataclass(frozen=True)
class Track:
    """A person who was seen, and is expected to be seen again.

    Attributes:
        keypoints: (K, 2) expected positions in pixels.
        scores: (K,) scores of the keypoints, 0..1.
        area: Pixels squared.
        label: Class.
        motion: Motion of the body.
        id: 1, 2, ...; ``NO_ID`` until the person was seen often enough.
        num_seen: Frames that showed the person.
        lost: Seconds since the last of them.
    """

    keypoints: Floats
    scores: Floats
    area: float
    label: int
    motion: Motion
    id: int = NO_ID
    num_seen: int = 1
    lost: float = 0.0

    def predict(self, seconds: float) -> Track:
        """Return the track some time later."""
        moved = self.keypoints + self.motion.velocity * seconds
        return replace(self, keypoints=moved, motion=self.motion.predict(seconds), lost=self.lost + seconds)

    def correct(self, seen: Track) -> Track:
        """Return the track after the person was seen as ``seen``."""
        weights = self.scores * seen.scores + 1e-6
        offset = np.average(seen.keypoints - self.keypoints, axis=0, weights=weights)
        motion, share = self.motion.correct(offset)
        keypoints = seen.keypoints - (1 - share) * offset  # the rest of the offset is noise
        return replace(seen, keypoints=keypoints, motion=motion, id=self.id, num_seen=self.num_seen + 1)


class Tracker:
    """Gives people ids, frame by frame.

    Args:
        sigmas: (K,) sigmas of the keypoints, as in ``KeypointSchema``.
        start_score: Detections below this score continue a track, and start none.
        min_seen: Frames in which a person must be seen to get an id; those of the first frame get one at once.
        max_lost: Seconds out of sight after which a person who comes back gets a new id.

    Raises:
        ConfigError: A value is out of its range.

    Examples:
        >>> def walk(x):
        ...     keypoints = np.array([[[x + 20.0, 10], [x + 20, 80]]])
        ...     boxes = np.array([[x, 0.0, x + 40, 90]])
        ...     return Detections(boxes, np.ones(1), keypoints, np.ones((1, 2)), np.zeros(1, int))
        >>> tracker = Tracker(sigmas=(0.1, 0.1))
        >>> [tracker.update(walk(x), time=x / 100).tolist() for x in (0, 4, 8)]
        [[1], [1], [1]]
    """

    def __init__(
        self, sigmas: Sequence[float], *, start_score: float = 0.4, min_seen: int = 2, max_lost: float = 1.5
    ) -> None:
        FRACTION.check("start_score", start_score)
        COUNT.check("min_seen", min_seen)
        AMOUNT.check("max_lost", max_lost)
        self._sigmas = np.asarray(sigmas, float)
        self._start_score, self._min_seen, self._max_lost = start_score, min_seen, max_lost
        self._tracks: list[Track] = []
        self._time: float | None = None
        self._num_ids = 0

    @property
    def num_ids(self) -> int:
        """How many people have got an id."""
        return self._num_ids

    @property
    def ids(self) -> frozenset[int]:
        """Ids of the people who are followed at the moment, also out of sight."""
        return frozenset(track.id for track in self._tracks) - {NO_ID}

    def update(self, people: Detections, time: float | None = None) -> NDArray[np.int64]:
        """Return the id of each of the people in the next frame.

        Args:
            people: N people, best first.
            time: Time of the frame in seconds. Default: a thirtieth of a second after the previous one.

        Returns:
            (N,) ids from 1, and ``NO_ID`` for detections that are not confirmed, or not yet.

        Raises:
            ValueError: The time is not after that of the frame before.
        """
        elapsed = self._advance(time)
        expected = [track.predict(elapsed) for track in self._tracks if self._is_awaited(track, elapsed)]
        seen, is_sure = _start_tracks(people), people.scores >= self._start_score
        pairs = self._match(expected, seen, is_sure, elapsed)
        found = {person: expected[track].correct(seen[person]) for track, person in pairs}
        found |= {person: seen[person] for person in self._find_new(seen, is_sure, list(found))}
        believed = {person: self._believe(track, is_first=elapsed == 0) for person, track in found.items()}
        paired = {track for track, _ in pairs}
        missed = [track for index, track in enumerate(expected) if index not in paired]
        self._tracks = [*believed.values(), *(track for track in missed if track.id != NO_ID)]
        return np.array([believed[n].id if n in believed else NO_ID for n in range(len(people))], np.int64)

    def _advance(self, time: float | None) -> float:
        """Set the clock to the next frame, and return the seconds since the one before; 0 for the first."""
        if self._time is None:
            self._time = 0.0 if time is None else time
            return 0.0
        time = self._time + 1 / FRAMES_A_SECOND if time is None else time
        if not time > self._time:
            raise ValueError(f"Frames go forward in time, but {time} s comes after {self._time} s.")
        elapsed, self._time = time - self._time, time
        return elapsed

    def _match(
        self, expected: Sequence[Track], seen: Sequence[Track], is_sure: Bools, elapsed: float
    ) -> list[tuple[int, int]]:
        """Return pairs of a track and one of the people seen; who was in the last frame comes first."""
        if not expected or not seen:
            return []
        slack = np.array([track.motion.variance for track in expected])
        similarities = _stack(expected).compare(_stack(seen), self._sigmas, slack)
        is_recent = np.array([track.lost <= elapsed for track in expected])
        pairs: list[tuple[int, int]] = []
        for tracks, people in ((is_recent, is_sure), (is_recent, ~is_sure), (~is_recent, is_sure)):
            is_free = np.outer(tracks, people)
            for track, person in pairs:
                is_free[track], is_free[:, person] = False, False
            pairs += match_best(np.where(is_free, similarities, 0.0), _MIN_SIMILARITY)
        return pairs

    def _find_new(self, seen: Sequence[Track], is_sure: Bools, known: Sequence[int]) -> list[int]:
        """Return the people of high score without a track who are not duplicates of others."""
        if not is_sure.any():
            return []
        similarities = _stack(seen).compare(_stack(seen), self._sigmas)
        new: list[int] = []
        for person in np.flatnonzero(is_sure).tolist():
            others = [*known, *new]
            if person not in known and not (similarities[person, others] > _MAX_SIMILARITY).any():
                new.append(person)
        return new

    def _believe(self, track: Track, *, is_first: bool) -> Track:
        """Return the track with an id, if it was seen often enough."""
        if track.id != NO_ID or not (is_first or track.num_seen >= self._min_seen):
            return track
        self._num_ids += 1
        return replace(track, id=self._num_ids)

    def _is_awaited(self, track: Track, elapsed: float) -> bool:
        """Tell whether a person may be in the next frame: seen in the last one, or not lost for too long."""
        return track.lost == 0 or track.lost + elapsed <= self._max_lost


def _start_tracks(people: Detections) -> list[Track]:
    """Return a new track for each of the people."""
    rows = zip(people.keypoints, people.keypoint_scores, people.estimate_areas(), people.labels)
    return [
        Track(keypoints, scores, float(area), int(label), Motion.start()) for keypoints, scores, area, label in rows
    ]


def _stack(tracks: Sequence[Track]) -> Poses:
    """Return the poses of some tracks, at least one, as arrays."""
    return Poses(
        np.stack([track.keypoints for track in tracks]),
        np.stack([track.scores for track in tracks]),
        np.array([track.area for track in tracks]),
        np.array([track.label for track in tracks]),
    )
