"""Images are opened, and those that are missing, cut off or of another size are named."""

import cv2
import numpy as np
import pytest
from PIL import Image

from rtmo_plugin.errors import MissingFileError
from rtmo_plugin.labels import check_coco, fix_coco
from rtmo_plugin.labels.image_inspection import ImageInspection, inspect_image, inspect_images


def look(coco, folder):
    return dict(inspect_images([image["file_name"] for image in coco["images"]], folder))


def test_good_pictures(coco, pictures):
    found = look(coco, pictures)
    assert found == {
        "1.jpg": ImageInspection((64, 48)),
        "2.jpg": ImageInspection((48, 64)),
        "3.jpg": ImageInspection((80, 60)),
    }
    assert check_coco(coco, found) == {}


def test_missing_picture_goes_with_its_people(coco, pictures):
    (pictures / "1.jpg").unlink()
    found = look(coco, pictures)
    (problem,) = check_coco(coco, found)["image-missing"]
    assert problem.text == f"image 100 (1.jpg): no file {pictures / '1.jpg'}"
    fixed = fix_coco(coco, found)
    assert fixed.changes == {"image-missing": 1, "unknown-image": 2}
    assert [person["id"] for person in fixed.coco["annotations"]] == [3]


@pytest.mark.parametrize("content", [b"", b"no picture", "half", "all but two bytes"])
def test_cut_picture(coco, pictures, content):
    whole = (pictures / "1.jpg").read_bytes()
    cuts = {"half": whole[: len(whole) // 2], "all but two bytes": whole[:-2]}
    (pictures / "1.jpg").write_bytes(cuts.get(content, content))
    found = look(coco, pictures)
    (problem,) = check_coco(coco, found)["image-truncated"]
    assert problem.text.startswith("image 100 (1.jpg): ")
    assert len(fix_coco(coco, found).coco["images"]) == 2


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tiff"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_other_formats(tmp_path, suffix):
    path = tmp_path / f"picture{suffix}"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (60, 50, 3), dtype=np.uint8))
    assert inspect_image(path) == ImageInspection((50, 60))
    path.write_bytes(path.read_bytes()[:4000])
    assert inspect_image(path).kind == "image-truncated"


def test_other_size(coco, pictures):
    coco["images"][0].update(width=640, height=480)
    found = look(coco, pictures)
    (problem,) = check_coco(coco, found)["image-size"]
    assert problem.text == "image 100 (1.jpg): 64 x 48, but the file says 640 x 480"
    fixed = fix_coco(coco, found)
    assert fixed.coco["images"][0] == {"id": 100, "file_name": "1.jpg", "width": 64, "height": 48}
    assert fixed.coco["annotations"] == coco["annotations"]


def test_size_is_that_of_the_upright_picture_as_training_reads_it(tmp_path):
    path, exif = tmp_path / "lying.jpg", Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    assert inspect_image(path).size_wh == cv2.imread(str(path)).shape[1::-1] == (30, 40)


def test_missing_folder(tmp_path):
    with pytest.raises(MissingFileError, match=r"The image folder .* does not exist"):
        next(inspect_images(["1.jpg"], tmp_path / "nowhere"))
