"""Evaluate a checkpoint: python tools/test.py configs/rtmo-m_coco.py CHECKPOINT --data-root data/."""

from rtmo_plugin.apis import evaluate
from rtmo_plugin.apis.arguments import add_run_arguments, make_parser, parse
from rtmo_plugin.apis.metrics import format_table
from rtmo_plugin.errors import report_user_errors


def main() -> None:
    """Read the arguments, evaluate, and print the metrics."""
    parser = make_parser("Evaluate a checkpoint on the test data of a config.")
    parser.add_argument("checkpoint", help="checkpoint: file, URL, or a name such as rtmo-s_body7 (tools/zoo.py list)")
    add_run_arguments(parser)
    parser.add_argument("--out", metavar="FILE", help="write the metrics to FILE (.json, .yaml or .pkl)")
    parser.add_argument("--dump", metavar="FILE", help="write the predictions to FILE (.pkl)")
    with report_user_errors():
        print(f"\n{format_table(evaluate(**parse(parser)))}")


if __name__ == "__main__":
    main()
