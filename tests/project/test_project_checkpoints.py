from __future__ import annotations

import os

import pytest

from wetgate.errors import WetgateError
from wetgate.project import Run


@pytest.fixture
def run(restoration):
    return restoration.new_run({})


def kept(run):
    return sorted(path.name for path in run.folder.iterdir() if path.name.startswith("checkpoint"))


def test_the_newest_and_the_one_before_are_kept(run):
    assert run.newest_checkpoint() is None
    saved = [run.save_checkpoint(b"state %d" % step) for step in range(4)]
    assert kept(run) == sorted(path.name for path in saved[-2:])
    assert run.newest_checkpoint() == saved[-1]
    assert saved[-1].read_bytes() == b"state 3"


def test_a_writer_gets_a_path_to_write_to(run):
    path = run.save_checkpoint(lambda target: target.write_bytes(b"written by a library") and None)
    assert path.read_bytes() == b"written by a library"


@pytest.mark.parametrize("damage", ["truncate", "empty", "flip"])
def test_a_torn_newest_falls_back_to_the_one_before(run, damage):
    before, newest = run.save_checkpoint(b"before" * 1000), run.save_checkpoint(b"newest" * 1000)
    if damage == "flip":
        with newest.open("r+b") as stream:
            stream.seek(3000)
            stream.write(b"?")
    else:
        os.truncate(newest, 2999 if damage == "truncate" else 0)
    assert run.newest_checkpoint() == before
    assert before.read_bytes() == b"before" * 1000
    following = run.save_checkpoint(b"following")
    assert kept(run) == sorted([before.name, following.name])


def test_nothing_is_made_up_when_both_are_torn(run):
    for step in range(2):
        os.truncate(run.save_checkpoint(b"state %d" % step), 3)
    assert run.newest_checkpoint() is None


def test_a_writer_that_fails_leaves_what_was_there(run):
    saved = [run.save_checkpoint(b"state %d" % step) for step in range(2)]

    def fail(target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(WetgateError, match="disk is full"):
        run.save_checkpoint(fail)
    assert kept(run) == sorted(path.name for path in saved)
    assert sorted(path.name for path in run.folder.iterdir() if "wetgate" in path.name) == []


def test_sigkill_at_any_moment_leaves_a_whole_checkpoint(run, start):
    code = """
        import sys
        from wetgate.project import Run
        run = Run(sys.argv[1])
        newest = run.newest_checkpoint()
        step = 0 if newest is None else int(newest.read_bytes()[:8])
        with run.lock():
            while True:
                step += 1
                run.save_checkpoint((b"%08d" % step) * 100_000)
                print(step, flush=True)
    """
    for _ in range(8):
        child = start(code, run.folder)
        told = int(child.read_line())
        told = int(child.read_line())
        child.kill()
        content = run.newest_checkpoint().read_bytes()
        step = int(content[:8])
        assert content == (b"%08d" % step) * 100_000
        assert step >= told
    Run(run.folder).save_checkpoint(b"after")
    assert len(kept(run)) == 2
