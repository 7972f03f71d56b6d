import dataclasses
import subprocess
import sys

import pytest

from rtmo_plugin import structures
from rtmo_plugin.structures import KeypointSchema

FIELDS = {"names": ["nose", "left", "right"], "sigmas": [0.1, 0.2, 0.2], "flip_pairs": [[1, 2]], "skeleton": [[0, 1]]}


def test_schema_from_a_config():
    schema = KeypointSchema.from_dict(FIELDS)
    expected = KeypointSchema(("nose", "left", "right"), (0.1, 0.2, 0.2), ((1, 2),), ((0, 1),))
    assert schema == expected
    assert schema.num_keypoints == 3
    assert hash(schema) == hash(expected)


def test_schema_needs_no_pairs():
    schema = KeypointSchema.from_dict({"names": ["nose"], "sigmas": [1]})
    assert (schema.flip_pairs, schema.skeleton, schema.sigmas) == ((), (), (1.0,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": [], "sigmas": []}, "one sigma for each name, got 0 names and 0 sigmas"),
        ({"sigmas": [0.1, 0.2]}, "one sigma for each name, got 3 names and 2 sigmas"),
        ({"sigmas": [0.1, 0.0, 0.2]}, "sigmas must be positive"),
        ({"sigmas": [0.1, float("nan"), 0.2]}, "sigmas must be positive"),
        ({"flip_pairs": [[1, 3]]}, "flip_pairs names keypoint 3, but there are only 3"),
        ({"skeleton": [[-1, 0]]}, "skeleton names keypoint -1, but there are only 3"),
        ({"skeletn": []}, r"the fields \['names', 'sigmas', 'flip_pairs', 'skeleton'\].*check \['skeletn'\]"),
    ],
)
def test_wrong_schema(change, message):
    with pytest.raises(ValueError, match=message):
        KeypointSchema.from_dict({**FIELDS, **change})


def test_schema_without_sigmas():
    with pytest.raises(ValueError, match=r"check \['sigmas'\]"):
        KeypointSchema.from_dict({"names": ["nose"]})


def test_structures_cannot_be_changed():
    classes = [value for value in vars(structures).values() if dataclasses.is_dataclass(value)]
    assert len(classes) == 7
    assert all(each.__dataclass_params__.frozen for each in classes)


def test_runtimes_get_structures_and_keypoint_sets_without_torch():
    code = "import sys, rtmo_plugin.keypoints.sets; print({'torch', 'mmengine'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
