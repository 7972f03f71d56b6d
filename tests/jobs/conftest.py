"""A tiny exported model, and a folder of images and videos, some of them bad."""

from importlib.util import find_spec

import cv2
import numpy as np
import pytest

from rtmo_plugin import Pose
from tests.media.test_sources import write_video
from tests.tiny_files import make_image

SCORE_THR = 0.1
needs_parquet = pytest.mark.skipif(find_spec("pyarrow") is None, reason="no pyarrow, which the extra `ray` has")


def write_slow_image(path):
    """Write an image that takes most of a second to decode, in which a process can be killed."""
    assert cv2.imwrite(str(path), np.zeros((9000, 9000, 3), np.uint8))


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return nine images and four videos: one file is not an image, and videos are cut off or not videos."""
    folder = tmp_path_factory.mktemp("work")
    for number in range(9):
        cv2.imwrite(str(folder / f"{number}.png"), make_image(60, 40, number))
    (folder / "3.png").write_text("not an image")
    content = write_video(folder / "4.avi", 12).read_bytes()
    write_video(folder / "5.avi", 10)
    (folder / "6.avi").write_bytes(content[: len(content) // 2])
    (folder / "8.mp4").write_text("not a video")
    return folder


@pytest.fixture(scope="session")
def expected(tiny_file, folder):
    """Return what ``rtmo predict`` says of the folder."""
    pose = Pose(tiny_file, score_thr=SCORE_THR, threads=1)
    return [result.to_dict() for result in pose.stream(folder)]
