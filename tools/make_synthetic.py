"""Write synthetic people as a COCO folder: python tools/make_synthetic.py FOLDER --num-images 500."""

import argparse

from rtmo_plugin.data import SyntheticPeople, write_coco_folder
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
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", help="where to write; made if it is missing")
    parser.add_argument("--split", default="train2017", help="name of the image folder (%(default)s)")
    parser.add_argument("--num-images", type=COUNT, default=100, help="how many images (%(default)s)")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of the images (%(default)s)")
    parser.add_argument("--size", type=SIDE, nargs=2, default=(320, 320), metavar=("W", "H"), help="pixels (320 320)")
    parser.add_argument(
        "--num-people", type=NUMBER, nargs=2, default=(0, 8), metavar=("MIN", "MAX"), help="people per image (0 8)"
    )
    parser.add_argument("--occlusion", type=FRACTION, default=0.4, help="overlap of people, 0 to 1 (%(default)s)")
    parser.add_argument("--clutter", type=FRACTION, default=0.5, help="clutter of the background, 0 to 1 (%(default)s)")
    return parser


def main() -> None:
    """Draw the images and write them."""
    arguments = make_parser().parse_args()
    with report_user_errors():
        dataset = SyntheticPeople(
            arguments.num_images,
            arguments.seed,
            size_wh=arguments.size,
            num_people=arguments.num_people,
            occlusion=arguments.occlusion,
            clutter=arguments.clutter,
            test_mode=True,  # keep the images without people
            lazy_init=True,
        )
        written = write_coco_folder(dataset, arguments.folder, arguments.split)
        for _ in show_progress(written, total=arguments.num_images + 1, unit="file"):  # the annotations come last
            pass
        print(f"{count(arguments.num_images, 'image')} with annotations: {arguments.folder}")


if __name__ == "__main__":
    main()
