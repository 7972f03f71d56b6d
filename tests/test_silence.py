"""What libraries print to stderr is dropped in a block, and only there."""

import os
import sys

import pytest

from rtmo_plugin.silence import drop_stderr


def print_everywhere(word):
    print(word, file=sys.stderr, flush=True)
    os.write(2, f"{word} below Python\n".encode())
    print(word)


def test_only_stderr_and_only_the_block_are_silent(capfd):
    print_everywhere("before")
    with drop_stderr():
        print_everywhere("within")
    print_everywhere("after")
    out, err = capfd.readouterr()
    assert out.split() == ["before", "within", "after"]
    assert err.splitlines() == ["before", "before below Python", "after", "after below Python"]


def test_an_error_within_ends_the_silence(capfd):
    with pytest.raises(ValueError, match="of a library"), drop_stderr():
        raise ValueError("of a library")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_process_without_stderr_goes_on():
    kept = os.dup(2)
    os.close(2)
    try:
        with drop_stderr():
            done = True
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert done
