"""A correct file is kept whatever its scores, and a file that is wrong is refused, with exit code 1."""

import copy
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from rtmo_plugin.errors import ConfigError, ExportError, OutputError
from rtmo_plugin.export.checks.comparison import verify
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import build_graph
from rtmo_plugin.export.writers import onnx_file, openvino_file
from rtmo_plugin.export.writers.onnx_file import convert_to_onnx, open_content, replace_constants, write_onnx
from rtmo_plugin.export.writers.openvino_file import write_openvino
from rtmo_plugin.export.writers.torch_files import write_torchscript
from rtmo_plugin.runtime.engines import open_engine
from rtmo_plugin.runtime.model_info import ModelInfo
from tests.conftest import run_command
from tests.export.conftest import build_tiny


def make_sure_of_itself(spread=0.02, seed=0):
    """Return a tiny model without detections in most images: scores near 0.0003, hardly different from each other."""
    model = build_tiny(seed=seed)
    with torch.no_grad():
        for layer in model.head.head_module.out_cls:
            layer.weight.mul_(spread)
            layer.bias.fill_(-8.0)
    return model


def change(model, layer, index, addend):
    changed = copy.deepcopy(model)
    with torch.no_grad():
        for level in getattr(changed.head.head_module, layer):
            level.bias[index] += addend
    return changed


def make_info(model, options):
    return ModelInfo(model.head.schema, size_wh=options.size_wh, cut=options.cut)


def convert(model, options):
    """Return the content of a file of ``model`` that was not compared with anything."""
    proto = convert_to_onnx(build_graph(model, options), options, make_info(model, options).to_strings())
    return proto.SerializeToString()


def compute(model, options):
    """Return what computes a correct file's outputs with PyTorch: the graph that a file is converted from."""
    graph = build_graph(model, options)

    @torch.no_grad()
    def run(images, score_thr):
        if options.cut == "end2end":
            graph.score_thr.fill_(score_thr)
        return {name: each.numpy() for name, each in zip(graph.output_names, graph(torch.from_numpy(images)))}

    return run


@pytest.fixture(scope="module")
def sure():
    return make_sure_of_itself()


@pytest.fixture(scope="module")
def tiny():
    return build_tiny()


OPTIONS = ExportOptions((96, 64), top_k=20, max_people=30)
HALF = replace(OPTIONS, half=True)


@pytest.fixture(scope="module")
def run_sure(sure):
    return compute(sure, OPTIONS)


@pytest.fixture(scope="module")
def run_tiny(tiny):
    run = open_content(convert(tiny, OPTIONS))
    verify(tiny, run, OPTIONS, "model.onnx")
    return run


@pytest.fixture(scope="module")
def run_half(sure):
    run = open_content(convert(sure, HALF))
    verify(sure, run, HALF, "model.onnx")
    return run


_SHAPES = [
    {"dynamic": ("batch", "size"), "max_people": 10},
    {"size_wh": (128, 192), "max_people": 3, "nms_thr": 0.3},
    {"size_wh": (256, 192)},
    {"size_wh": (96, 64), "cut": "decoded", "top_k": 10},
]


@pytest.mark.parametrize(
    ("spread", "options"),
    [
        *((0.0, options) for options in _SHAPES),
        (0.02, _SHAPES[0]),
        *(pytest.param(0.02, options, marks=pytest.mark.slow) for options in _SHAPES[1:]),
    ],
)
def test_scores_near_zero_and_ties_are_no_difference(tmp_path, options, spread):
    model = make_sure_of_itself(spread)
    wanted = ExportOptions(**{"size_wh": (96, 64), **options})
    found = write_onnx(model, tmp_path / "model.onnx", wanted, make_info(model, wanted))
    assert (tmp_path / "model.onnx").is_file()
    assert found.num_people > 10
    assert max(found.score, found.box, found.keypoint) < 1


@pytest.mark.parametrize("cut", ["decoded", "fused"])
def test_background_whose_score_is_exactly_zero_is_a_row_of_a_decoded_file(tiny, cut):
    model = copy.deepcopy(tiny)
    with torch.no_grad():
        model.head.head_module.out_cls[1].bias.fill_(-150.0)  # whose sigmoid is 0 in float32
    wanted = ExportOptions((96, 64), cut=cut, top_k=30)  # all priors
    run = open_content(convert(model, wanted)) if cut == "decoded" else compute(model, wanted)
    assert verify(model, run, wanted, "model.onnx").num_people == 5 * 30


def test_rounding_that_changes_the_order_of_low_scores_is_not_a_difference(sure):
    random = np.random.default_rng(0)
    other = copy.deepcopy(sure)
    with torch.no_grad():
        for layer in other.head.head_module.out_cls:
            layer.weight.mul_(torch.tensor(random.uniform(0.95, 1.05, layer.weight.shape), dtype=torch.float32))
    found = verify(sure, compute(other, OPTIONS), OPTIONS, "model.onnx")
    assert 0 < found.score < 1


@pytest.mark.parametrize(
    ("layer", "index", "addend", "sentence"),
    [
        ("out_pose", slice(None), 0.3, "a keypoint differs by .* times the tolerance .float32: keypoints 0.5 pixels"),
        ("out_bbox", 2, 0.03, "a box differs by .* 0.2 % of their longer side"),
        ("out_kpt_vis", 3, 0.1, "a score differs by .*float32: scores 0.002"),
        ("out_cls", 0, 3.0, "a score differs by|other people than PyTorch"),
        ("out_cls", 0, -3.0, "a score differs by|other people than PyTorch"),
    ],
)
def test_a_file_with_other_weights_is_refused_even_without_people(run_sure, sure, layer, index, addend, sentence):
    with pytest.raises(ExportError, match=f"^model.onnx does not compute what .*, and was not kept: .*{sentence}"):
        verify(change(sure, layer, index, addend), run_sure, OPTIONS, "model.onnx")


@pytest.mark.parametrize(
    ("write", "suffix"), [(write_onnx, ".onnx"), (write_openvino, ".xml"), (write_torchscript, ".pt")]
)
def test_decoded_files_of_any_size_return_top_k_priors_or_all(tiny, tmp_path, write, suffix):
    options = ExportOptions((96, 64), cut="decoded", dynamic=("batch", "size"), top_k=40)  # 30 priors, and more
    info = replace(make_info(tiny, options), dynamic=options.dynamic)
    path = tmp_path / f"model{suffix}"
    found = write(tiny, path, options, info)
    assert max(found.score, found.box, found.keypoint) < 1
    engine = open_engine(path)
    for size, num_rows in (((32, 32), 5), ((96, 64), 30), ((320, 256), 40)):
        outputs = engine.run(np.zeros((2, 3, size[1], size[0]), np.float32))
        assert outputs["dets"].shape == (2, num_rows, 5)
        assert outputs["keypoints"].shape == (2, num_rows, 17, 3)


def drop_first(dets, keypoints):
    return dets[:, 1:], keypoints[:, 1:]


def drop_all(dets, keypoints):
    return dets[:, :1] * 0, keypoints[:, :1] * 0


def repeat_first(dets, keypoints):
    return np.concatenate([dets[:, :1], dets], 1), np.concatenate([keypoints[:, :1], keypoints], 1)


def shift_rows(dets, keypoints):
    return dets, np.roll(keypoints, 1, axis=1)


def exchange_axes(dets, keypoints):
    return dets, keypoints[..., [1, 0, 2]]


def exchange_sides(dets, keypoints):
    return dets, keypoints[:, :, [0, 2, 1, *range(3, 17)]]


def spoil(value, part):
    def make(dets, keypoints):
        dets, keypoints = dets.copy(), keypoints.copy()
        (dets[0, 0] if part == "dets" else keypoints[0, 0, 0])[0] = value
        return dets, keypoints

    make.__name__ = f"{part}_{value}"
    return make


BROKEN = [drop_first, drop_all, repeat_first, shift_rows, exchange_axes, exchange_sides]
BROKEN += [spoil(value, part) for value in (np.nan, np.inf) for part in ("dets", "keypoints")]


@pytest.mark.parametrize("break_it", BROKEN, ids=lambda function: function.__name__)
def test_a_file_that_is_broken_on_purpose_is_refused(tiny, run_tiny, break_it):
    def run(images, score_thr):
        outputs = run_tiny(images, score_thr)
        dets, keypoints = break_it(outputs["dets"], outputs["keypoints"])
        return {"dets": dets, "keypoints": keypoints}

    with pytest.raises(ExportError, match=r"^model\.onnx does not compute what PyTorch computes, and was not kept: "):
        verify(tiny, run, OPTIONS, "model.onnx")


INPUTS = {
    "with exchanged color channels": lambda images: images[:, ::-1].copy(),
    "mirrored from left to right": lambda images: images[..., ::-1].copy(),
    "divided by 255": lambda images: images / 255,
    "less a mean of 114": lambda images: images - 114,
}


@pytest.fixture(scope="module", params=["end2end", "decoded", "raw"])
def indifferent(request):
    """Return a model that hardly reacts to its input, options, and what runs its file."""
    model, options = build_tiny(), ExportOptions((96, 64), cut=request.param, top_k=20)
    with torch.no_grad():
        model.backbone.stem.conv.conv.weight.mul_(0.02)
    run = compute(model, options)
    verify(model, run, options, "model.onnx")
    return model, options, run


@pytest.mark.parametrize("words", INPUTS)
def test_a_wrong_input_is_noticed_though_the_model_hardly_reacts_to_it(indifferent, words):
    """All differences are below the tolerances, as of a model that was trained for few epochs."""
    model, options, run = indifferent
    with pytest.raises(ExportError, match=f"It computes what PyTorch computes for the image {words}"):
        verify(model, lambda images, score_thr: run(INPUTS[words](images), score_thr), options, "model.onnx")


def shift(dets, keypoints):
    return dets, keypoints + np.array([2, 0, 0], np.float32)


def shift_one(dets, keypoints):
    return dets, keypoints + np.where(np.arange(17) == 5, 3, 0)[:, None] * np.array([1, 0, 0], np.float32)


def enlarge(dets, keypoints):
    sizes = dets[..., 2:4] - dets[..., :2]
    return np.concatenate([dets[..., :2] - 0.05 * sizes, dets[..., 2:4] + 0.05 * sizes, dets[..., 4:]], -1), keypoints


@pytest.mark.parametrize(
    ("break_it", "kind"),
    [(shift, "keypoint"), (shift_one, "keypoint"), (enlarge, "box"), (exchange_sides, "(score|keypoint)")],
)
def test_what_all_people_of_a_float16_file_have_in_common_is_not_rounding(sure, run_half, break_it, kind):
    def run_wrongly(images, score_thr):
        outputs = run_half(images, score_thr)
        dets, keypoints = break_it(outputs["dets"], outputs["keypoints"])
        return {"dets": dets, "keypoints": keypoints.astype(np.float32)}

    with pytest.raises(ExportError, match=f"a {kind} differs by"):
        verify(sure, run_wrongly, HALF, "model.onnx")


def test_exchanged_scores_of_keypoints_are_noticed_though_they_are_nearly_equal():
    model = make_sure_of_itself()
    with torch.no_grad():
        for layer in model.head.head_module.out_kpt_vis:
            layer.weight.mul_(0.02)
            layer.bias.zero_()
    run = compute(model, HALF)

    def run_wrongly(images, score_thr):
        outputs = run(images, score_thr)
        keypoints = outputs["keypoints"].copy()
        keypoints[..., [1, 2], 2] = keypoints[..., [2, 1], 2]
        assert np.abs(keypoints - outputs["keypoints"]).max() < 0.02
        return {"dets": outputs["dets"], "keypoints": keypoints}

    verify(model, run, HALF, "model.onnx")
    with pytest.raises(ExportError, match="The scores of the keypoints 2 and 3 are exchanged"):
        verify(model, run_wrongly, HALF, "model.onnx")


def test_people_that_nms_would_remove_are_too_many(tiny):
    run = compute(tiny, ExportOptions((96, 64), nms_thr=1.0, max_people=100))  # overlaps go up to 0.25
    with pytest.raises(ExportError, match=r"finds other people than PyTorch .* 0 are missing and \d+ of its \d+ are"):
        verify(tiny, run, ExportOptions((96, 64), nms_thr=0.1, max_people=100), "model.onnx")
    run = compute(tiny, ExportOptions((96, 64), nms_thr=0.1, max_people=100))
    with pytest.raises(ExportError, match=r"finds other people than PyTorch .*: \d+ are missing and 0 of its"):
        verify(tiny, run, ExportOptions((96, 64), nms_thr=0.9, max_people=100), "model.onnx")


@pytest.fixture(scope="module")
def content(tiny):
    return convert(tiny, ExportOptions((96, 64), dynamic=()))


@pytest.fixture(scope="module", params=[("score_thr", 0.2), ("nms_thr", 0.9), ("max_people", 101)], ids=lambda p: p[0])
def wrong_constant(request, tiny, content):
    """Return a constant, its wrong value, the right options, and a file that differs from PyTorch in no image."""
    name, value = request.param
    options = ExportOptions((96, 64), dynamic=())  # overlaps go up to 0.25, and there are 30 priors
    wrong = replace_constants(content, **{name: value})
    verify(tiny, open_content(wrong), options, "model.onnx")
    return name, value, options, wrong


@pytest.mark.parametrize("module", [onnx_file, openvino_file])
def test_a_wrong_constant_that_no_image_tells_is_noticed(tiny, wrong_constant, tmp_path, monkeypatch, module):
    name, value, options, wrong = wrong_constant
    monkeypatch.setattr(module, "convert_to_onnx", lambda *_: onnx.load_from_string(wrong))
    write, path = (write_onnx, "model.onnx") if module is onnx_file else (write_openvino, "model.xml")
    sentence = rf"{path} was not kept: its {name} is {value} instead of {getattr(options, name)}\.$"
    with pytest.raises(ExportError, match=sentence):
        write(tiny, tmp_path / path, options, make_info(tiny, options))
    assert list(tmp_path.iterdir()) == []


def test_a_file_beside_that_cannot_be_written_leaves_the_older_one(tiny, content, tmp_path, monkeypatch):
    monkeypatch.setattr(openvino_file, "convert_to_onnx", lambda *_: onnx.load_from_string(content))
    options = ExportOptions((96, 64), dynamic=())
    path = tmp_path / "model.xml"
    path.write_bytes(b"older")
    path.with_suffix(".bin").mkdir()
    with pytest.raises(OutputError, match=r"model\.bin is a folder; name a file"):
        write_openvino(tiny, path, options, make_info(tiny, options))
    assert path.read_bytes() == b"older"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.bin", "model.xml"]


def test_a_refused_file_is_exit_code_1_and_an_older_one_stays(tiny_model, tmp_path, capsys, monkeypatch):
    out, fixed = tmp_path / "model.onnx", ("--dynamic", "none")
    out.write_bytes(b"older")
    code, printed, err = run_command(capsys, "export", *tiny_model, *fixed, "--out", tmp_path / "good.onnx")
    assert code == 0, err
    assert "tolerance (float32): scores 0.002, boxes 0.2 % of their longer side, keypoints 0.5 pixels" in printed
    monkeypatch.setattr(
        onnx_file, "build_graph", lambda model, options: build_graph(change(model, "out_pose", slice(None), 1), options)
    )
    code, printed, err = run_command(capsys, "export", *tiny_model, *fixed, "--out", out)
    assert (code, printed) == (1, "")
    assert err.startswith(f"error: {out} does not compute what PyTorch computes, and was not kept: a keypoint differs")
    assert err.count("\n") == 1
    assert out.read_bytes() == b"older"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["good.onnx", "model.onnx"]


def test_errors_of_the_input_keep_exit_code_2():
    assert (ExportError.exit_code, ConfigError.exit_code, OutputError.exit_code) == (1, 2, 2)


def test_weights_of_a_written_file_that_are_changed_are_noticed(tiny, tmp_path):
    """The whole way: a file is written, a tensor in it is changed, and the comparison refuses it."""
    write_onnx(tiny, tmp_path / "model.onnx", OPTIONS, make_info(tiny, OPTIONS))
    model = onnx.load(tmp_path / "model.onnx")
    tensor = next(each for each in model.graph.initializer if each.name.endswith("pose_to_kpts.0.weight"))
    values = -onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    with pytest.raises(ExportError, match="was not kept"):
        verify(tiny, open_content(model.SerializeToString()), OPTIONS, "model.onnx")
