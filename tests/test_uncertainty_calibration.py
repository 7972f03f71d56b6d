"""The file of an uncertainty calibration: read as written, and refused if it is something else."""

import pytest

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.uncertainty_calibration import UncertaintyCalibration


def test_a_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "sigma.json"
    path.write_text(UncertaintyCalibration(1.37).to_json())
    assert UncertaintyCalibration.read(path) == UncertaintyCalibration(1.37)
    with pytest.raises(MissingFileError, match=r"uncertainty calibration .*other\.json does not exist"):
        UncertaintyCalibration.read(tmp_path / "other.json")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{}",
        '{"factor": 1}',
        '{"kind": "standard deviation", "factor": 0}',
        '{"kind": "standard deviation", "factor": NaN}',
        '{"kind": "logistic", "factor": 1}',
        '{"kind": "standard deviation", "factor": "wide"}',
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(DataError, match="The uncertainty calibration is not an uncertainty calibration, as"):
        UncertaintyCalibration.from_json(text)
