"""Every number from 1 to 37 has a test file that begins with a sentence.

1. Installation of a wheel with the training packages.
2. Checkpoints of data sets without bones or with unusual metainfo.
3. Choosing, pasting and dropping pictures on the page of ``rtmo serve``.
4. Correct exports that are kept, and wrong ones that are refused.
5. Documented commands and the files that they name.
6. Left and right in keypoint names.
7. People to train on, and boxes without area.
8. Areas that do not fit their boxes.
9. ``check --fix`` that keeps labels.
10. Labels of other conventions.
11. Keypoints that are compared by name.
12. One reader of images, and upright videos.
13. Times of the frames of written videos.
14. Learning rate and schedule of resumed runs.
15. CVAT exports as CVAT writes them.
16. Rules that have one copy: model names, config keys, ranks, runtime settings.
17. Images without people.
18. One-line representations and unknown options.
19. Configs that checkpoints carry.
20. Videos that browsers play.
21. Several sources on the command line.
22. Closing lines of commands.
23. Interrupted and early stopped training.
24. Progress bars on terminals and in pipes.
25. Warnings of other libraries.
26. ``rtmo info`` without torch, patterns, loaders without workers, LabelMe folders.
27. Files that can hold code.
28. Numbers that are not finite.
29. Inputs that no output overwrites.
30. Written data sets that stay below their folder.
31. Limits of bytes, pixels, time and rate.
32. Integrity of training runs.
33. Labels that conversions keep or name.
34. Integrity of records and metadata.
35. Ranges of numeric options.
36. Odd inputs and unwritable outputs that end in one sentence.
37. Classes in the place of MMPose's.
"""

import ast
import re
from pathlib import Path

import pytest

FILES = sorted(Path(__file__).parent.glob("test_[0-9][0-9]_*.py"))


@pytest.mark.parametrize("number", range(1, 38))
def test_number_has_a_file(number):
    assert [path.name for path in FILES if path.name.startswith(f"test_{number:02d}_")]
    assert re.search(rf"^{number}\. \S.*\.$", __doc__, re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_begins_with_a_sentence_and_has_tests(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree).splitlines()[0].endswith(".")
    assert any(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in tree.body)
