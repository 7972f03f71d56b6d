"""Tracking: ids that stay with people from frame to frame, also through short occlusions.

The pose of each track is predicted for the next frame at the speed of the body (see ``motion``) and compared by
OKS with the detections there; the variance of the prediction adds to that of the keypoints.  SciPy's assignment
matches all pairs at once, first tracks seen in the last frame, then lost ones.  Detections of low score continue
a track and never start one, as in ByteTrack (Zhang et al., ECCV 2022).

Why this is own code: no maintained library tracks keypoints without torch.  supervision's ByteTrack is deprecated
in favor of ``trackers``, which compares boxes by IoU and has no keypoints.  boxmot needs torch and is AGPL.
norfair 2.3.0 tracks keypoints, but requires NumPy 1, which has no wheels for Python 3.13, and FilterPy below 2.
FilterPy itself has new releases (2.0.0 of October 2026, after 1.4.5 of 2018), but also needs matplotlib, and the
Kalman filter here is a dozen lines.  Tiling and the One-Euro filter are own code for the same reason: no
maintained library offers them for keypoints without torch.
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
_MIN_SIMILARITY = 0.3  # least OKS of a predicted pose and a detection of the same person
_MAX_SIMILARITY = 0.7  # OKS of two detections in a frame above which they are the same person


@dataclass(frozen=True)
class Track:
    """A person followed over several frames.

    Attributes:
        keypoints: (K, 2) predicted positions in pixels.
        scores: (K,) scores of the keypoints, 0..1.
        area: Area of the person in square pixels.
        label: Class label.
        motion: Motion of the body.
        id: Id from 1; ``NO_ID`` until the track is confirmed.
        num_seen: Number of frames in which the person was detected.
        lost: Seconds since the last detection.
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
        """Return the track after some seconds without a detection."""
        moved = self.keypoints + self.motion.velocity * seconds
        return replace(self, keypoints=moved, motion=self.motion.predict(seconds), lost=self.lost + seconds)

    def correct(self, seen: Track) -> Track:
        """Return the track after the person was detected as ``seen``."""
        weights = self.scores * seen.scores + 1e-6
        offset = np.average(seen.keypoints - self.keypoints, axis=0, weights=weights)
        motion, share = self.motion.correct(offset)
        keypoints = seen.keypoints - (1 - share) * offset  # the rest of the offset is noise
        return replace(seen, keypoints=keypoints, motion=motion, id=self.id, num_seen=self.num_seen + 1)


class Tracker:
    """Tracker that gives an id to each person, frame by frame.

    Args:
        sigmas: (K,) sigmas of the keypoints, as in ``KeypointSchema``.
        start_score: Lowest score that starts a track; lower ones only continue one.
        min_seen: Number of frames in which a person must be detected to get an id; in the first frame one is enough.
        max_lost: Seconds without a detection after which a track ends; a person who returns later gets a new id.

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
        """Number of people who got an id."""
        return self._num_ids

    @property
    def ids(self) -> frozenset[int]:
        """Ids of the current tracks, also of people out of sight."""
        return frozenset(track.id for track in self._tracks) - {NO_ID}

    def update(self, people: Detections, time: float | None = None) -> NDArray[np.int64]:
        """Return the ids of the detections in the next frame.

        Args:
            people: N detections, best first.
            time: Time of the frame in seconds. Default: a thirtieth of a second after the previous one.

        Returns:
            (N,) ids from 1; ``NO_ID`` for detections whose track is not confirmed.

        Raises:
            ValueError: The time is not later than that of the previous frame.
        """
        elapsed = self._advance(time)
        expected = [
            track.predict(elapsed)
            for track in self._tracks
            if track.lost == 0 or track.lost + elapsed <= self._max_lost
        ]
        rows = zip(people.keypoints, people.keypoint_scores, people.estimate_areas(), people.labels)
        seen = [
            Track(keypoints, scores, float(area), int(label), Motion.start()) for keypoints, scores, area, label in rows
        ]
        is_sure = people.scores >= self._start_score
        pairs = self._match(expected, seen, is_sure, elapsed)
        found = {person: expected[track].correct(seen[person]) for track, person in pairs}
        found |= {person: seen[person] for person in self._find_new(seen, is_sure, list(found))}
        for person, track in found.items():
            if track.id == NO_ID and (elapsed == 0 or track.num_seen >= self._min_seen):
                self._num_ids += 1
                found[person] = replace(track, id=self._num_ids)
        paired = {track for track, _ in pairs}
        missed = [track for index, track in enumerate(expected) if index not in paired]
        self._tracks = [*found.values(), *(track for track in missed if track.id != NO_ID)]
        return np.array([found[n].id if n in found else NO_ID for n in range(len(people))], np.int64)

    def _advance(self, time: float | None) -> float:
        """Set the time of the next frame, and return the seconds since the previous one; 0 for the first."""
        if self._time is None:
            self._time = 0.0 if time is None else time
            return 0.0
        time = self._time + 1 / FRAMES_A_SECOND if time is None else time
        if not time > self._time:
            raise ValueError(f"A frame must be later than the previous one at {self._time} s, got {time} s.")
        elapsed, self._time = time - self._time, time
        return elapsed

    def _match(
        self, expected: Sequence[Track], seen: Sequence[Track], is_sure: Bools, elapsed: float
    ) -> list[tuple[int, int]]:
        """Return pairs of a track and a detection, matching tracks of the last frame first."""
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
        """Return the detections that start a track: of high score, unmatched, and not duplicates of others."""
        if not is_sure.any():
            return []
        similarities = _stack(seen).compare(_stack(seen), self._sigmas)
        new: list[int] = []
        for person in np.flatnonzero(is_sure).tolist():
            others = [*known, *new]
            if person not in known and not (similarities[person, others] > _MAX_SIMILARITY).any():
                new.append(person)
        return new


def _stack(tracks: Sequence[Track]) -> Poses:
    """Return the poses of one or more tracks as arrays."""
    return Poses(
        np.stack([track.keypoints for track in tracks]),
        np.stack([track.scores for track in tracks]),
        np.array([track.area for track in tracks]),
        np.array([track.label for track in tracks]),
    )
