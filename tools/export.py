"""Write a model for other runtimes: python tools/export.py CONFIG CHECKPOINT --format onnx --out FILE."""

from rtmo_plugin.apis import export
from rtmo_plugin.apis.arguments import make_parser, parse
from rtmo_plugin.apis.export import FORMATS
from rtmo_plugin.errors import report_user_errors
from rtmo_plugin.inference.model_info import CUTS, INPUTS


def main() -> None:
    """Read the arguments, write the file, and print how far it is from PyTorch."""
    parser = make_parser("Write a model as a file for other runtimes, and compare the file with PyTorch.")
    parser.add_argument("checkpoint", help="checkpoint: file, URL, or a name such as rtmo-s_body7 (tools/zoo.py list)")
    parser.add_argument("--out", required=True, metavar="FILE", help="the file to write")
    parser.add_argument("--format", choices=tuple(FORMATS), default="onnx", help="(%(default)s)")
    parser.add_argument("--cut", choices=CUTS, default="end2end", help="where the file ends (%(default)s)")
    parser.add_argument("--size", metavar="WxH", help="input, multiples of 32 (default: that of the config)")
    parser.add_argument("--dynamic", default="batch", help="batch, size, batch,size or none (%(default)s)")
    parser.add_argument("--input", choices=INPUTS, default="float32", help="uint8: images as OpenCV has them")
    parser.add_argument("--half", action="store_true", help="compute in float16, but for coordinates")
    parser.add_argument("--score-thr", type=float, help="people score above this (default: that of the config)")
    parser.add_argument("--nms-thr", type=float, help="boxes of higher IoU are one person (default: the config's)")
    parser.add_argument("--max-people", type=int, default=100, help="at most so many an image (%(default)s)")
    parser.add_argument("--top-k", type=int, default=300, help="priors an image of the cut `decoded` (%(default)s)")
    arguments = parse(parser)
    with report_user_errors():
        print(export(**arguments).describe())


if __name__ == "__main__":
    main()
