"""Train a model: python tools/train.py configs/rtmo-m_coco.py --data-root data/."""

from rtmo_plugin.apis import train
from rtmo_plugin.apis.arguments import add_run_arguments, make_parser, parse
from rtmo_plugin.apis.console import print_once
from rtmo_plugin.errors import report_user_errors


def main() -> None:
    """Read the arguments, train, and print where the results are."""
    parser = make_parser("Train a model.")
    add_run_arguments(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="continue from CHECKPOINT, or, without a name, from the last one in the work folder",
    )
    parser.add_argument(
        "--load-from", metavar="CHECKPOINT", help="start from these weights: file, URL, or name as tools/zoo.py lists"
    )
    parser.add_argument(
        "--transfer-from", metavar="CHECKPOINT", help="the same, of a model with other keypoints or classes, by name"
    )
    parser.add_argument("--from-scratch", action="store_true", help="start from random weights, download nothing")
    parser.add_argument("--amp", action="store_true", help="train in half precision, on GPUs and CPUs")
    parser.add_argument("--auto-scale-lr", action="store_true", help="scale the learning rate to the actual batch size")
    parser.add_argument(
        "--total-batch", type=int, metavar="IMAGES", help="images in a step, from as many batches as that takes"
    )
    parser.add_argument(
        "--cache-gb", type=float, default=0, metavar="GB", help="keep decoded training images in so much memory"
    )
    parser.add_argument("--no-validate", dest="validate", action="store_false", help="do not evaluate during training")
    with report_user_errors():
        print_once(train(**parse(parser)))


if __name__ == "__main__":
    main()
