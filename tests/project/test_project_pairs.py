from __future__ import annotations

import json
from pathlib import Path

import pytest

from wetgate.errors import WetgateError
from wetgate.project import Pair, open_restoration


def names_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_pair_keeps_what_it_was_given(restoration):
    where_from = {"scan": Path("/scans/a.1001.dpx"), "reference": "dvd.mov", "reference_frame": 25}
    with restoration.add_pair(1001, region=(10, 20, 640, 480), where_from=where_from) as draft:
        draft.scan.write_bytes(b"s")
        draft.reference.write_bytes(b"r")
        draft.mask.write_bytes(b"m")

    (pair,) = open_restoration(restoration.folder).pairs()

    assert pair.folder == draft.pair.folder == restoration.folder / "pairs" / "0001"
    assert (pair.number, pair.frame, pair.region) == (1, 1001, (10, 20, 640, 480))
    assert (pair.state, pair.reason) == ("collected", "")
    assert pair.where_from == {"scan": "/scans/a.1001.dpx", "reference": "dvd.mov", "reference_frame": 25}
    assert (pair.scan.read_bytes(), pair.reference.read_bytes(), pair.mask.read_bytes()) == (b"s", b"r", b"m")
    assert (pair.transform, pair.residual_px, pair.confidence) == (None, None, None)
    assert names_in(pair.folder) == ["mask.exr", "pair.json", "reference.exr", "scan.exr"]


def test_pairs_come_in_the_order_of_their_numbers(restoration, add_pair):
    numbers = [add_pair(frame).number for frame in (1030, 1010, 1020)]
    assert numbers == [1, 2, 3]
    (restoration.folder / "pairs" / "0003").rename(restoration.folder / "pairs" / "10000")
    (restoration.folder / "pairs" / "notes").mkdir()
    assert [pair.frame for pair in restoration.pairs()] == [1030, 1010, 1020]
    assert add_pair(1040).number == 10001


def test_nothing_remains_of_a_pair_that_failed(restoration):
    with pytest.raises(RuntimeError), restoration.add_pair(1001) as draft:
        draft.scan.write_bytes(b"s")
        raise RuntimeError
    with pytest.raises(WetgateError, match=r"frame 1001 has no reference\.exr"), restoration.add_pair(1001) as draft:
        draft.scan.write_bytes(b"s")
    with pytest.raises(WetgateError, match=r'"region" is \[0, 0, 0, 4\]'), restoration.add_pair(1001) as draft:
        draft.scan.write_bytes(b"s")
        draft.reference.write_bytes(b"r")
        draft.region = (0, 0, 0, 4)
    assert names_in(restoration.folder / "pairs") == []
    assert draft.pair is None


ADD = """
    import sys
    from wetgate.project import open_restoration
    restoration = open_restoration(sys.argv[1])
    print("ready", flush=True); sys.stdin.readline()
    for frame in range(int(sys.argv[2]), int(sys.argv[2]) + 12):
        with restoration.add_pair(frame) as draft:
            draft.scan.write_bytes(b"%d" % frame)
            draft.reference.write_bytes(b"%d" % frame)
        print(draft.pair.number, flush=True)
"""


def test_processes_that_add_at_once_get_different_numbers(restoration, start):
    adders = [start(ADD, restoration.folder, first) for first in (100, 200, 300)]
    for adder in adders:
        adder.read_line()
    for adder in adders:
        adder.go_on()
    said = [[int(adder.read_line()) for _ in range(12)] for adder in adders]
    for adder in adders:
        adder.finish()
    assert sorted(number for numbers in said for number in numbers) == list(range(1, 37))
    pairs = restoration.pairs()
    assert [pair.number for pair in pairs] == list(range(1, 37))
    assert all(pair.scan.read_bytes() == pair.reference.read_bytes() == b"%d" % pair.frame for pair in pairs)
    for numbers, first in zip(said, (100, 200, 300), strict=True):
        assert [pairs[number - 1].frame for number in numbers] == list(range(first, first + 12))


HANG_IN_ADD = """
    import sys, time
    from wetgate.project import open_restoration
    with open_restoration(sys.argv[1]).add_pair(7) as draft:
        draft.scan.write_bytes(b"half a pict")
        print("writing", flush=True)
        time.sleep(600)
"""


def test_a_killed_adder_leaves_no_pair_and_its_rubbish_is_swept(restoration, add_pair, start):
    killed, working = start(HANG_IN_ADD, restoration.folder), start(HANG_IN_ADD, restoration.folder)
    killed.read_line(), working.read_line()
    killed.kill()
    assert restoration.pairs() == []
    add_pair(1001)
    left = [name for name in names_in(restoration.folder / "pairs") if name.startswith(".")]
    assert len(left) == 1 and f"-{working.pid}-" in left[0]
    assert [pair.frame for pair in restoration.pairs()] == [1001]


def test_states_and_what_they_need(restoration, add_pair):
    pair = add_pair()
    with pytest.raises(WetgateError, match='"reason" is empty'):
        pair.update(state="rejected")
    with pytest.raises(WetgateError, match='"prepared" is null'):
        pair.update(state="accepted")
    with pytest.raises(WetgateError, match='"state" is "good"'):
        pair.update(state="good")
    with pytest.raises(TypeError, match="stat"):
        pair.update(stat="accepted")
    with pytest.raises(TypeError, match="sha256"):
        pair.update(sha256={})
    assert Pair(pair.folder).state == pair.state == "collected"
    pair.update(state="rejected", reason="a splice runs through it")
    assert Pair(pair.folder).reason == "a splice runs through it"


def test_what_to_train_towards(add_pair):
    pair = add_pair()
    with pytest.raises(WetgateError, match=r"0001 has not been prepared.*wetgate prepare"):
        _ = pair.prepared
    pair.update(state="accepted", prepared="reference.exr")
    assert pair.prepared == pair.reference
    assert not (pair.folder / "prepared.exr").exists()
    (pair.folder / "prepared.exr").write_bytes(b"p")
    (pair.folder / "confidence.exr").write_bytes(b"c")
    pair.update(prepared="prepared.exr", transform={"shift": (0.25, -0.5)}, residual_px=0.125)
    again = Pair(pair.folder)
    assert again.prepared == pair.folder / "prepared.exr"
    assert again.confidence == pair.folder / "confidence.exr"
    assert again.transform == {"shift": [0.25, -0.5]} and again.residual_px == 0.125
    with pytest.raises(WetgateError, match='"prepared"'):
        pair.update(prepared="../elsewhere.exr")


def test_pairs_by_state(restoration, add_pair):
    for frame in (1, 2, 3):
        add_pair(frame)
    first, second, _ = restoration.pairs()
    first.update(state="accepted", prepared="reference.exr")
    second.update(state="rejected", reason="blurred")
    assert [pair.frame for pair in restoration.pairs(states=["accepted"])] == [1]
    assert [pair.frame for pair in restoration.pairs(states=["collected", "rejected"])] == [2, 3]
    with pytest.raises(ValueError, match="states"):
        restoration.pairs(states=["acepted"])


def test_changes_of_two_processes_to_one_pair_both_stay(add_pair, start):
    pair = add_pair()
    code = """
        import sys
        from pathlib import Path
        from wetgate.project import Pair
        pair, field = Pair(Path(sys.argv[1])), sys.argv[2]
        print("ready", flush=True); sys.stdin.readline()
        for index in range(40):
            value = {"step": index} if field == "transform" else f"reason {index}"
            pair.update(**{field: value})
            now = getattr(Pair(pair.folder), field)
            assert now == value, (now, value)
    """
    children = [start(code, pair.folder, field) for field in ("transform", "reason")]
    for child in children:
        child.read_line()
    for child in children:
        child.go_on()
    for child in children:
        child.finish()
    assert Pair(pair.folder).transform == {"step": 39} and Pair(pair.folder).reason == "reason 39"


def test_a_missing_picture_is_named(restoration, add_pair):
    first, second = add_pair(1), add_pair(2)
    second.reference.unlink()
    with pytest.raises(WetgateError, match=r"0002/reference\.exr is missing"):
        restoration.pairs()
    second.update(state="rejected", reason="its reference is lost")
    first.update(state="accepted", prepared="prepared.exr")
    with pytest.raises(WetgateError, match=r"0001/prepared\.exr is missing"):
        restoration.pairs(states=["accepted"])
    (first.folder / "prepared.exr").write_bytes(b"p")
    assert [pair.number for pair in restoration.pairs(states=["accepted"])] == [1]


def test_an_altered_picture_is_named(add_pair):
    pair = add_pair()
    pair.check_unaltered()
    pair.scan.write_bytes(b"painted over")
    with pytest.raises(WetgateError, match=r"scan\.exr is not the file that was collected"):
        pair.check_unaltered()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frame", 1001.5),
        ("frame", True),
        ("region", [1, 2, 3]),
        ("region", [-1, 0, 4, 4]),
        ("where_from", None),
        ("sha256", {"scan.exr": "00"}),
        ("state", None),
        ("reason", 3),
        ("prepared", "scan.exr"),
        ("transform", [1, 0, 0]),
        ("residual_px", float("nan")),
        ("residual_px", -1),
    ],
)
def test_a_broken_field_of_a_pair_is_named_with_its_file(restoration, add_pair, field, value):
    path = add_pair().folder / "pair.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(WetgateError, match=rf'0001/pair\.json: the field "{field}"'):
        restoration.pairs()


def test_a_torn_pair_is_named(restoration, add_pair):
    path = add_pair().folder / "pair.json"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(WetgateError, match=r"0001/pair\.json is damaged"):
        restoration.pairs()
    path.unlink()
    with pytest.raises(WetgateError, match=r"0001/pair\.json is missing"):
        restoration.pairs()


def test_a_full_or_locked_folder_gives_a_sentence(restoration, add_pair, monkeypatch):
    import errno
    import os

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(WetgateError, match="disk is full"):
        add_pair()
    assert names_in(restoration.folder / "pairs") == []


def test_sigkill_at_any_moment_leaves_only_whole_pairs(restoration, start):
    code = """
        import sys
        from wetgate.project import open_restoration
        restoration = open_restoration(sys.argv[1])
        print("adding", flush=True)
        while True:
            with restoration.add_pair(1001) as draft:
                draft.scan.write_bytes(b"s" * 50_000)
                draft.reference.write_bytes(b"r" * 50_000)
            draft.pair.update(state="accepted", prepared="reference.exr", transform={"step": 1})
            print(draft.pair.number, flush=True)
    """
    for _ in range(6):
        adder = start(code, restoration.folder)
        adder.read_line()
        told = int(adder.read_line())
        adder.kill()
        pairs = restoration.pairs()
        assert [pair.number for pair in pairs] == list(range(1, len(pairs) + 1)) and len(pairs) >= told
        assert pairs[told - 1].state == "accepted"
        for pair in pairs:
            pair.check_unaltered()
