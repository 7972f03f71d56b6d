"""See where the errors are: python tools/analyze.py configs/rtmo-s_coco.py rtmo-s.pth --out page.html."""

import argparse

from rtmo_plugin.apis.analysis import analyze
from rtmo_plugin.apis.arguments import OptionAction
from rtmo_plugin.errors import report_user_errors


def main() -> None:
    """Read the arguments, analyse, and write the page."""
    parser = argparse.ArgumentParser(description="Write one HTML page about where a model's errors are.")
    add = parser.add_argument
    add("source", help="config; or a result file in COCO's format (.json), with --annotations")
    add("model", nargs="?", help="after a config: a checkpoint, or a result file of its test data")
    add("--out", required=True, metavar="FILE", help="the page (.html)")
    add("--annotations", metavar="FILE", help="annotation file of a result file without a config")
    add("--images", metavar="DIR", help="folder of its images")
    add("--keypoints", metavar="NAME", help="coco, crowdpose, or a JSON file with names, sigmas, flip_pairs, skeleton")
    add("--run", metavar="DIR", help="work dir of a training, for its curves (default: the checkpoint's, if it is one)")
    add("--calibration", metavar="FILE", help="write a calibration of the scores to FILE (.json)")
    add("--num-worst", type=int, default=20, metavar="N", help="how many images to show (%(default)s)")
    add("--data-root", metavar="DIR", help="folder that holds the data of the config")
    add("--work-dir", metavar="DIR", help="folder for logs (default: work_dirs/CONFIG)")
    add("--cfg-options", nargs="+", action=OptionAction, metavar="KEY=VALUE", help="change values of the config")
    with report_user_errors():
        arguments = vars(parser.parse_args())
        report = analyze(**arguments)
        print(f"AP {report.precision:.3f}; the page is {arguments['out']}")
        for finding in report.findings:
            print(f"- {finding.title}: {finding.words}")


if __name__ == "__main__":
    main()
