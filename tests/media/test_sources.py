"""Sources: what may be given, in which order it comes, and what happens where something is not as it should be."""

import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.media.read_ahead import keep_latest, read_ahead
from rtmo_plugin.media.sources import SourceKind, find_kind, read_frames
from rtmo_plugin.media.video import describe_video, read_camera
from tests.tiny_files import make_image

FPS, NUM_FRAMES = 10, 40


def write_video(path, num_frames=NUM_FRAMES):
    """Write frames whose brightness is their number."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (64, 48))
    for index in range(num_frames):
        writer.write(np.full((48, 64, 3), 5 * index, np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with images, a video and other things."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("b.jpg", "a.png"):
        cv2.imwrite(str(folder / name), make_image(60, 40))
    write_video(folder / "c.avi")
    (folder / "notes.txt").write_text("not for us")
    (folder / "inner").mkdir()
    cv2.imwrite(str(folder / "inner" / "d.PNG"), make_image(30, 20))
    return folder


@pytest.fixture(scope="module")
def server(folder):
    """Return the address of a server of the folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def describe(frames):
    return [(frame.name, frame.index, None if frame.image is None else frame.image.shape) for frame in frames]


def test_files_come_by_name_and_videos_as_their_frames(folder):
    frames = list(read_frames(folder))
    assert describe(frames[:2]) == [
        (str(folder / "a.png"), 0, (40, 60, 3)),
        (str(folder / "b.jpg"), 1, (40, 60, 3)),
    ]
    assert [frame.index for frame in frames[2:]] == list(range(NUM_FRAMES))
    assert {frame.path for frame in frames[2:]} == {folder / "c.avi"}
    assert [frame.time_s for frame in frames[:2]] == [None, None]


def test_patterns(folder):
    assert [frame.path.name for frame in read_frames(str(folder / "*.[jp]*g"))] == ["a.png", "b.jpg"]
    assert [frame.path.name for frame in read_frames(str(folder / "**" / "*.PNG"))] == ["d.PNG"]
    odd = folder / "inner" / "e[1].png"
    cv2.imwrite(str(odd), make_image(10, 10))
    assert [frame.path for frame in read_frames(str(odd))] == [odd]  # a file's name comes before a pattern


def test_video_has_its_frames_and_their_times(folder):
    frames = list(read_frames(folder / "c.avi"))
    np.testing.assert_allclose([frame.image.mean() / 5 for frame in frames], np.arange(NUM_FRAMES), atol=0.3)
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(NUM_FRAMES) / FPS, atol=1e-6)
    info = describe_video(folder / "c.avi")
    assert (info.size_wh, info.fps, info.num_frames) == ((64, 48), FPS, NUM_FRAMES)


def test_video_that_ends_early_keeps_what_was_read_and_says_so(folder, tmp_path):
    content = (folder / "c.avi").read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(content[: len(content) // 2])
    *frames, last = read_frames(path)
    assert 5 < len(frames) < 30
    assert all(frame.error is None for frame in frames)
    assert last.image is None
    assert last.error == f"{path} ends early: only {len(frames)} of its {NUM_FRAMES} frames can be read."


def test_arrays_and_their_like():
    image = make_image(60, 40)
    assert describe(read_frames(image)) == [("image 0", 0, (40, 60, 3))]
    for other in (image[..., 0], image[..., :1], np.dstack([image, image[..., 0]])):
        (frame,) = read_frames(other)
        assert frame.image.shape == (40, 60, 3)
        np.testing.assert_array_equal(frame.image[..., 0], image[..., 0])
    assert describe(read_frames(np.stack([image, image]))) == [(f"image {i}", i, (40, 60, 3)) for i in range(2)]
    (frame,) = read_frames(cv2.imencode(".png", image)[1].tobytes())
    np.testing.assert_array_equal(frame.image, image)


def test_pictures_of_pillow_become_bgr():
    image = make_image(60, 40)
    (frame,) = read_frames(Image.fromarray(np.ascontiguousarray(image[..., ::-1])))
    np.testing.assert_array_equal(frame.image, image)


def test_lists_hold_anything_and_one_bad_thing_does_not_stop_the_others(folder, server):
    text, missing, empty = folder / "notes.txt", folder / "nowhere.jpg", folder / "*.nothing"
    things = [folder / "a.png", text, missing, f"{server}/b.jpg", make_image(8, 8), empty, folder / "c.avi", 3.5]
    frames = list(read_frames(iter(things)))
    assert [frame.name for frame in frames[:6]] == [
        str(folder / "a.png"), str(text), str(missing), f"{server}/b.jpg", "image 4", str(empty),
    ]  # fmt: skip
    assert [bool(frame.error) for frame in frames[:6]] == [False, True, True, False, False, True]
    assert frames[2].error == f"The image, video or folder {missing} does not exist."
    assert len(frames) == 7 + NUM_FRAMES
    assert "float is not a source" in frames[-1].error


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("photo.jpg", SourceKind.IMAGE),
        ("https://example.org/photo", SourceKind.IMAGE),
        (b"", SourceKind.IMAGE),
        (np.zeros((4, 4, 3), np.uint8), SourceKind.IMAGE),
        ("*.mp4", SourceKind.IMAGES),
        ([], SourceKind.IMAGES),
        ("clip.MP4", SourceKind.VIDEO),
        ("https://example.org/clip.mp4", SourceKind.VIDEO),
        (0, SourceKind.LIVE),
        ("0", SourceKind.LIVE),
        ("rtsp://camera/1", SourceKind.LIVE),
    ],
)
def test_kinds_are_told_by_name(source, kind):
    assert find_kind(source) is kind


def test_what_is_wrong_is_said_at_once(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    wrong = {
        tmp_path / "nowhere.jpg": "The image, video or folder .* does not exist",
        tmp_path / "nowhere.mp4": "The video .* does not exist",
        tmp_path / "text.mp4": "is not a video that OpenCV can read",
        str(tmp_path / "*.jpg"): "No file matches the pattern",
        63: "Camera 63 is missing, or another program is using it",
        "rtsp://127.0.0.1:1/": "cannot be opened",
        True: "bool is not a source",
        b"text": "The image is not an image: give JPEG, PNG, WebP, BMP or TIFF",
    }
    for source, words in wrong.items():
        with pytest.raises((DataError, MissingFileError), match=words):
            read_frames(source)
    with pytest.raises(DataError, match=r"An array of shape \(3, 8, 8\) and type float32 is not an image"):
        read_frames(np.zeros((3, 8, 8), np.float32))
    (tmp_path / "text.mp4").unlink()
    with pytest.raises(MissingFileError, match="No image or video was found in"):
        read_frames(tmp_path)


def test_addresses_that_cannot_be_read(server, monkeypatch):
    assert next(read_frames(f"{server}/a.png")).image.shape == (40, 60, 3)
    assert "File not found" in next(read_frames(f"{server}/nowhere.png")).error
    assert "is not an image" in next(read_frames(f"{server}/notes.txt")).error
    assert "Connection refused." in next(read_frames("http://127.0.0.1:1/a.png")).error
    monkeypatch.setattr("rtmo_plugin.media.images.MAX_DOWNLOAD_BYTES", 1000)
    assert "has more than 0.001 MB, the limit for an image." in next(read_frames(f"{server}/a.png")).error


def test_reading_ahead_is_bounded_and_stops_with_its_reader():
    taken = []

    def count():
        for index in range(10**9):
            taken.append(index)
            yield index

    items = read_ahead(count(), 3)
    assert [next(items), next(items)] == [0, 1]
    time.sleep(0.05)
    assert len(taken) <= 2 + 3 + 1
    items.close()
    num_taken = len(taken)
    time.sleep(0.05)
    assert len(taken) == num_taken
    assert list(read_ahead(iter(range(7)), 3)) == list(range(7))


def test_what_goes_wrong_in_the_thread_is_raised_here():
    def fail():
        yield 1
        raise DataError("no more")

    for read in (partial(read_ahead, num_ahead=2), keep_latest):
        with pytest.raises(DataError, match="no more"):
            list(read(fail()))


def test_of_live_images_the_newest_is_given_and_the_last():
    def make_images():
        for index in range(20):
            time.sleep(0.005)
            yield index

    seen = []
    for index in keep_latest(make_images()):
        seen.append(index)
        time.sleep(0.02)
    assert seen == sorted(set(seen))
    assert len(seen) < 15
    assert seen[-1] == 19
    camera = keep_latest(iter(int, 1))  # without end
    next(camera)
    camera.close()


def test_camera_that_stops_says_so(folder):
    *frames, last = read_camera(cv2.VideoCapture(str(folder / "c.avi")), "camera 0")
    assert [frame.index for frame in frames] == list(range(NUM_FRAMES))
    assert all(after.time_s > before.time_s for before, after in pairwise(frames))
    assert last.error == f"camera 0 gives no more images after {NUM_FRAMES}."


def test_index_is_the_place_in_the_source_and_may_begin_later(folder):
    several = [folder / "c.avi", folder / "a.png", folder / "nowhere.jpg", [folder / "b.jpg", folder / "a.png"]]
    frames = list(read_frames(several, start=10))
    assert [frame.index for frame in frames] == [*range(NUM_FRAMES), 11, 12, 13, 14]
    whole, *later = list(read_frames(folder / "c.avi")), *read_frames(folder / "c.avi", start=17)
    assert len(later) == NUM_FRAMES - 17
    for ours, theirs in zip(later, whole[17:], strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)
        assert (ours.index, ours.time_s) == (theirs.index, theirs.time_s)
    assert list(read_frames(folder / "c.avi", start=NUM_FRAMES)) == []
