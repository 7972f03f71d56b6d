"""Evaluate a checkpoint: python tools/test.py configs/rtmo-m_coco.py CHECKPOINT --data-root data/."""

from rtmo_plugin.apis import evaluate
from rtmo_plugin.apis.arguments import add_run_arguments, make_parser, parse
from rtmo_plugin.apis.comparing import compare_models
from rtmo_plugin.apis.metrics import format_table
from rtmo_plugin.errors import report_user_errors

_NAMED = "checkpoint: file, URL, or a name such as rtmo-s_body7 (tools/zoo.py list)"


def main() -> None:
    """Read the arguments, evaluate, and print the metrics."""
    parser = make_parser("Evaluate a checkpoint on the test data of a config, or compare two.")
    parser.add_argument("checkpoint", nargs="?", help=_NAMED)
    add_run_arguments(parser)
    parser.add_argument("--out", metavar="FILE", help="write the metrics to FILE (.json, .yaml or .pkl)")
    parser.add_argument("--dump", metavar="FILE", help="write the predictions to FILE (.pkl)")
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="two checkpoints, or result files in COCO's format (.json): is the difference more than noise?",
    )
    with report_user_errors():
        arguments = parse(parser)
        models = arguments.pop("compare")
        if not models and arguments["checkpoint"] is None:
            parser.error("name a checkpoint, or two with --compare A B")
        if models:
            print(f"\n{compare_models(arguments.pop('config'), *models, **arguments).format()}")
        else:
            print(f"\n{format_table(evaluate(**arguments))}")


if __name__ == "__main__":
    main()
