import random

import pytest

from wetgate.errors import WetgateError
from wetgate.images import format_frames, parse_frames


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("1001", [1001]),
        ("1001-1004", [1001, 1002, 1003, 1004]),
        ("1001-1031x10", [1001, 1011, 1021, 1031]),
        ("1-10:4", [1, 5, 9]),
        ("1001-1003,1006,1008-1012:2", [1001, 1002, 1003, 1006, 1008, 1010, 1012]),
        (" 5 , 3 - 4 ,3", [3, 4, 5]),
        ("-3--1", [-3, -2, -1]),
        ("0007", [7]),
    ],
)
def test_grammar(text, frames):
    assert parse_frames(text) == frames


@pytest.mark.parametrize("text", ["", ",", "a", "1-", "10-1", "1-10x0", "1x2", "1-2-3", "1.5", "1,,2", "0-999999999"])
def test_what_is_no_list_of_frames_is_refused_with_the_text(text):
    with pytest.raises(WetgateError) as caught:
        parse_frames(text)
    assert f"'{text}'" in str(caught.value)


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ([], ""),
        ([7], "7"),
        ([1, 2], "1-2"),
        ([1, 3], "1,3"),
        ([1, 11, 21], "1-21x10"),
        ([1, 2, 3, 10, 20, 30, 31], "1-3,10-30x10,31"),
        ([3, 1, 2, 2], "1-3"),
    ],
)
def test_written_as_one_would_write_it(frames, text):
    assert format_frames(frames) == text


def test_any_set_of_frames_survives_writing_and_reading():
    chance = random.Random(4)
    for _ in range(300):
        frames = sorted(chance.sample(range(-30, 60), chance.randint(1, 40)))
        assert parse_frames(format_frames(frames)) == frames
