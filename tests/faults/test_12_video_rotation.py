"""Frames of videos are upright and their reported size agrees, for all matrices that a header can have."""

import struct

import cv2
import numpy as np
import pytest

from rtmo_plugin.media.sources import read_frames
from rtmo_plugin.media.video import UprightCapture, describe_video, open_video
from rtmo_plugin.media.video_rotation import Turn, make_turn, read_turn
from rtmo_plugin.pose.tracking.track_video import TrackSummary, track_video
from tests.pose.tracking.test_track_video import ColorFinder

# Matrix of the header (a, b, c, d), and what it does to an image.
MATRICES = {
    "as stored": ((1, 0, 0, 1), lambda image: image),
    "90 clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "180": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "90 counterclockwise": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda image: image[::-1]),
    "transposed": ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    "transposed and turned": ((0, -1, -1, 0), lambda image: np.rot90(image, 2).transpose(1, 0, 2)),
}
FPS, NUM_FRAMES = 10, 5


def draw_stored():
    """Return an image of four colors, which no turn leaves as it is."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32], image[:24, 32:], image[24:, :32], image[24:, 32:] = (0, 0, 255), (0, 255, 0), (255, 0, 0), 255
    return image


def write_turned(path, matrix, box=b"tkhd", version=0):
    """Write a video, and put a matrix into a box of its header."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (64, 48))
    for _ in range(NUM_FRAMES):
        writer.write(draw_stored())
    writer.release()
    content = bytearray(path.read_bytes())
    start = content.index(box) + 4 + {b"tkhd": 40, b"mvhd": 36}[box]
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("name", MATRICES)
def test_frames_are_upright_and_the_size_agrees(tmp_path, name, suffix):
    matrix, turn = MATRICES[name]
    path = write_turned(tmp_path / f"clip{suffix}", matrix)
    expected = turn(draw_stored())
    frames = list(read_frames(path))
    assert [frame.error for frame in frames] == [None] * NUM_FRAMES
    for frame in frames:
        assert frame.image.shape == expected.shape
        assert np.abs(frame.image.astype(int) - expected).mean() < 20
    info = describe_video(path)
    assert (info.size_wh, info.fps, info.num_frames) == (expected.shape[1::-1], FPS, NUM_FRAMES)


def test_a_matrix_of_the_whole_movie_counts_too(tmp_path):
    path = write_turned(tmp_path / "clip.mp4", MATRICES["90 clockwise"][0], box=b"mvhd")
    assert read_turn(path) == make_turn(90)


class Backend:
    """A capture of some version or backend of OpenCV."""

    def __init__(self, angle, turns_itself=False, knows_property=True):
        self.values = {cv2.CAP_PROP_ORIENTATION_META: angle, cv2.CAP_PROP_ORIENTATION_AUTO: float(turns_itself)}
        self.values |= {cv2.CAP_PROP_FRAME_WIDTH: 64.0, cv2.CAP_PROP_FRAME_HEIGHT: 48.0}
        self.knows_property = knows_property

    def get(self, name):
        return self.values.get(name, 0.0)

    def set(self, name, value):
        if self.knows_property:
            self.values[name] = value
        return self.knows_property

    def grab(self):
        return True

    def retrieve(self):
        image = draw_stored()
        return True, np.rot90(image, -1) if self.values[cv2.CAP_PROP_ORIENTATION_AUTO] else image


@pytest.mark.parametrize(
    "backend",
    [
        Backend(90.0),  # OpenCV 4.11: knows the angle and does nothing
        Backend(90.0, turns_itself=True),  # 4.8 and others
        Backend(270.0, turns_itself=True),  # 4.6: the angle the other way round
        Backend(0.0),  # a backend without the angle
    ],
)
def test_what_the_file_says_counts_and_not_the_version_of_opencv(backend):
    capture = UprightCapture(backend, make_turn(90))
    is_read, image = capture.read()
    assert is_read
    assert (image == np.rot90(draw_stored(), -1)).all()
    assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (48, 64)


def test_a_backend_that_turns_frames_and_cannot_be_told_not_to_is_left_alone():
    backend = Backend(90.0, turns_itself=True, knows_property=False)
    _, image = UprightCapture(backend, make_turn(90)).read()
    assert (image == np.rot90(draw_stored(), -1)).all()


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\x00\x00\x00\x08moov" * 3, b"\x00\x00\x00\x00moov", b"\xff" * 100])
def test_a_file_without_a_header_is_not_turned(tmp_path, content):
    (tmp_path / "clip.mp4").write_bytes(content)
    assert read_turn(tmp_path / "clip.mp4") is None


def test_angles_between_the_quarters():
    assert [make_turn(angle) for angle in (0, 360, -90, 269.6)] == [Turn(), Turn(), make_turn(270), make_turn(270)]


def test_a_tracked_portrait_video_is_portrait(tmp_path):
    path = write_turned(tmp_path / "clip.mp4", MATRICES["90 clockwise"][0])
    *_, summary = track_video(ColorFinder(), path, tmp_path / "out.mp4")
    assert isinstance(summary, TrackSummary)
    capture = open_video(summary.video)
    assert capture.read()[1].shape == (64, 48, 3)
    capture.release()
