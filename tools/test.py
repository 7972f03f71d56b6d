"""Evaluate a model: python tools/test.py configs/rtmo-m_coco.py CHECKPOINT --data-root data/."""

from rtmo_plugin.apis.arguments import add_run_arguments, make_parser, parse
from rtmo_plugin.apis.comparing import compare_models
from rtmo_plugin.apis.evaluated import measure_model
from rtmo_plugin.apis.metrics import format_table
from rtmo_plugin.errors import report_user_errors

_MODEL = "checkpoint: file, URL, or a name such as rtmo-s_body7 (tools/zoo.py list); or an exported file (.onnx)"


def main() -> None:
    """Read the arguments, evaluate, and print the metrics."""
    parser = make_parser("Evaluate a model on the test data of a config, or compare two.")
    parser.add_argument("checkpoint", nargs="?", help=f"{_MODEL}, or a result file in COCO's format (.json)")
    add_run_arguments(parser)
    parser.add_argument("--out", metavar="FILE", help="write the metrics to FILE (.json, .yaml or .pkl)")
    parser.add_argument("--dump", metavar="FILE", help="write the predictions to FILE (.pkl)")
    parser.add_argument(
        "--compare", nargs=2, metavar=("A", "B"), help="two models of any kind: is the difference more than noise?"
    )
    with report_user_errors():
        arguments = parse(parser)
        models, config = arguments.pop("compare"), arguments.pop("config")
        if models:
            print(f"\n{compare_models(config, *models, **arguments).format()}")
            return
        model = arguments.pop("checkpoint")
        if model is None:
            parser.error("name a model, or two with --compare A B")
        metrics = measure_model(config, model, **arguments)
        print(f"\n{format_table(metrics)}")
        if metrics.speed:
            print(f"\n{metrics.speed.describe()}")


if __name__ == "__main__":
    main()
