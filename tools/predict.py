"""Draw the people in images: python tools/predict.py CONFIG CHECKPOINT IMAGE_OR_DIR --out DIR."""

import sys

from rtmo_plugin.apis import predict
from rtmo_plugin.apis.arguments import make_parser, parse
from rtmo_plugin.errors import report_user_errors


def main() -> None:
    """Read the arguments, predict, and print what was found."""
    parser = make_parser("Find people in images, draw them, and write their keypoints to predictions.json.")
    parser.add_argument("checkpoint", help="checkpoint: file, URL, or a name such as rtmo-s_body7 (tools/zoo.py list)")
    parser.add_argument("images", metavar="IMAGE_OR_DIR", help="an image, or a folder of images")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the pictures and predictions.json")
    parser.add_argument("--score-thr", type=float, default=0.3, help="leave out people below this score (%(default)s)")
    parser.add_argument("--device", help="such as cpu or cuda:1 (default: a GPU if there is one)")
    arguments = parse(parser)
    with report_user_errors():
        results = predict(**arguments)
        failed = [result.error for result in results if result.error]
        for error in failed:
            print(f"skipped: {error}", file=sys.stderr)
        num_people, num_images = sum(len(result.people) for result in results), len(results) - len(failed)
        print(f"{num_people} people in {num_images} images: pictures and predictions.json in {arguments['out']}")


if __name__ == "__main__":
    main()
