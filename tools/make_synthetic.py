"""Write synthetic people as a COCO folder: python tools/make_synthetic.py FOLDER --num-images 500."""

import argparse

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.command import HelpFormatter
from rtmo_plugin.errors import report_user_errors
from rtmo_plugin.number_ranges import COUNT, FRACTION, NUMBER, SEED, SIDE
from rtmo_plugin.progress_bar import show_progress
from rtmo_plugin.wording import count

EXAMPLES = """examples:
  python tools/make_synthetic.py data/synthetic --split train2017 --num-images 2000 --seed 0
  python tools/make_synthetic.py data/synthetic --split val2017 --num-images 200 --seed 1
  python tools/make_synthetic.py data/crowds --num-images 50 --size 640 480 --num-people 5 8 --occlusion 0.8

The folder has COCO's own layout: configs for COCO read it as their data_root."""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Write images of synthetic people and their annotations as a COCO folder.",
        epilog=EXAMPLES,
        formatter_class=HelpFormatter,
    )
    add = parser.add_argument
    add("folder", help="folder to write; made if it is missing")
    add("--split", default="train2017", metavar="NAME", help="name of the image folder")
    add("--num-images", type=COUNT, default=100, metavar="N", help="number of images")
    add("--seed", type=SEED, default=0, metavar="N", help="seed of all random numbers")
    add("--size", type=SIDE, nargs=2, default=(320, 320), metavar=("W", "H"), help="image size in pixels")
    people = {"type": NUMBER, "nargs": 2, "default": (0, 8), "metavar": ("MIN", "MAX")}
    add("--num-people", **people, help="lowest and highest number of people in an image")
    add("--occlusion", type=FRACTION, default=0.4, metavar="SHARE", help="overlap of people, 0 to 1")
    add("--clutter", type=FRACTION, default=0.5, metavar="SHARE", help="background clutter, 0 to 1")
    return parser


def main() -> None:
    """Draw the images and write them."""
    arguments = make_parser().parse_args()
    with report_user_errors():
        from rtmo_plugin.data import SyntheticPeople, write_coco_folder

        options = {name: getattr(arguments, name) for name in ("num_people", "occlusion", "clutter")}
        # test_mode keeps the images without people.
        dataset = SyntheticPeople(
            arguments.num_images, arguments.seed, size_wh=arguments.size, test_mode=True, lazy_init=True, **options
        )
        written = write_coco_folder(dataset, arguments.folder, arguments.split)
        for _ in show_progress(written, total=arguments.num_images + 1, unit="file"):  # the annotations come last
            pass
        print(f"{count(arguments.num_images, 'image')} with annotations: {arguments.folder}")


if __name__ == "__main__":
    main()
