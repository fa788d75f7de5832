"""What is asked of the server, and what becomes of its answers: a client that answers what the test wants."""

from __future__ import annotations

import pytest

from nuke_plugin import restoring
from nuke_plugin.restoring import IN_FLIGHT, render_files
from wetgate.errors import WetgateError
from wetgate.service.client import ServerError, ServerGone
from wetgate.service.protocol import Code, Device, Model, Restored

RESTORED = Restored(Device.CUDA, 16, False, 1, 1000, 2000, "ab" * 32)
SCAN = {number: f"/scan/{number}.exr" for number in range(1, 7)}


class Talk:
    """Stands in for ``connect`` and the client it gives.

    Attributes:
        answers: by output file: errors to answer with, in turn, before the frame is restored.
        radii: of the model, at each connection in turn; the last one stays.
        asked: windows by output file, as asked for, in order.
        most: how many requests were open at most.
        given_up: output files of requests that were cancelled.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[Exception]] = {}
        self.radii = [0]
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.connections = self.most = 0
        self.given_up: list[str] = []
        self._open: dict[int, str] = {}

    def connect(self, command=None):
        self.connections += 1
        self._open.clear()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *about) -> None:
        pass

    def describe(self, model):
        radius = self.radii.pop(0) if len(self.radii) > 1 else self.radii[0]
        return Model(radius, False, 0, "ab", "color", "log", "", "grain", "test", "It is a test.\nIt is small.")

    def ask(self, message) -> int:
        self.asked.append((message.output, message.scans))
        self._open[len(self.asked)] = message.output
        self.most = max(self.most, len(self._open))
        return len(self.asked)

    def answer(self, request: int, *, cancelled, timeout_s):
        assert timeout_s is None
        output = self._open.pop(request)
        if cancelled():
            self.given_up.append(output)
            raise ServerError(Code.CANCELLED, "It was given up.")
        if self.answers.get(output):
            raise self.answers[output].pop(0)
        return RESTORED


@pytest.fixture
def talk(monkeypatch):
    talk = Talk()
    monkeypatch.setattr(restoring, "connect", talk.connect)
    return talk


def names(talk):
    return [output for output, _ in talk.asked]


def test_two_are_open_at_most_and_each_frame_is_asked_for_once(talk):
    outcome = render_files("/m.onnx", SCAN, "/made/####.exr")
    assert names(talk) == [f"/made/000{number}.exr" for number in range(1, 7)]
    assert talk.most == IN_FLIGHT == 2
    assert outcome.made == (1, 2, 3, 4, 5, 6)
    assert (outcome.device, outcome.limits) == ("cuda", ("It is a test.", "It is small."))


def test_a_model_that_was_retrained_for_other_windows_is_described_again(talk):
    talk.radii = [0, 1]
    talk.answers["/made/0003.exr"] = [ServerError(Code.WINDOW, "Another number of frames.")]
    assert render_files("/m.onnx", SCAN, "/made/####.exr").made == (1, 2, 3, 4, 5, 6)
    windows = dict(talk.asked)
    assert windows["/made/0002.exr"] == ("/scan/2.exr",)
    assert windows["/made/0003.exr"] == ("/scan/2.exr", "/scan/3.exr", "/scan/4.exr")
    assert windows["/made/0006.exr"] == ("/scan/5.exr", "/scan/6.exr", "/scan/6.exr")


@pytest.mark.parametrize("error", [ServerGone("It has ended."), ServerError(Code.CLOSING, "It ends.")])
def test_a_lost_server_is_connected_again_for_what_had_no_answer(talk, error):
    talk.answers = {"/made/0001.exr": [error], "/made/0004.exr": [error]}
    assert render_files("/m.onnx", SCAN, "/made/####.exr").made == (1, 2, 3, 4, 5, 6)
    assert talk.connections == 3
    asked = names(talk)
    assert [asked.count(f"/made/000{number}.exr") for number in range(1, 7)] == [2, 2, 1, 2, 2, 1]


def test_a_frame_that_kills_every_server_is_given_up_after_two(talk):
    talk.answers["/made/0002.exr"] = [ServerGone("It has ended.") for _ in range(9)]
    with pytest.raises(ServerGone):
        render_files("/m.onnx", SCAN, "/made/####.exr")
    assert talk.connections == 2


def test_what_no_other_frame_could_do_better_ends_it_at_once(talk):
    talk.answers["/made/0002.exr"] = [ServerError(Code.OUT_OF_MEMORY, "It needs more memory.")]
    with pytest.raises(ServerError, match="It needs more memory"):
        render_files("/m.onnx", SCAN, "/made/####.exr")
    assert (talk.connections, len(talk.asked)) == (1, 3)


def test_frames_with_bad_files_are_left_out_and_named_together(talk):
    for number in (2, 5):
        talk.answers[f"/made/000{number}.exr"] = [ServerError(Code.FILE, f"{number}.exr is broken.")]
    seen = []
    sentence = r"2 of 6 frames could not be restored \(2, 5\): 2.exr is broken. 5.exr is broken. All others are done."
    with pytest.raises(WetgateError, match=sentence):
        render_files("/m.onnx", SCAN, "/made/####.exr", follow=lambda *told: seen.append(told))
    assert seen == [(number, 6, number) for number in range(1, 7)]


def test_given_up_the_open_ones_are_cancelled_and_none_is_asked_for_any_more(talk):
    done = []
    outcome = render_files(
        "/m.onnx", SCAN, "/made/####.exr", follow=lambda *told: done.append(told), cancelled=lambda: len(done) >= 3
    )
    assert outcome.cancelled and outcome.made == (1, 2, 3)
    assert names(talk) == [f"/made/000{number}.exr" for number in range(1, 5)]
    assert talk.given_up == ["/made/0004.exr"]  # which was open when the third was done


def test_a_word_to_give_up_is_not_forgotten(talk):
    """Nuke's own progress bar says it once, and is gone."""
    words = iter([False] * 5 + [True] + [False] * 100)
    outcome = render_files("/m.onnx", SCAN, "/made/####.exr", cancelled=lambda: next(words))
    assert outcome.cancelled and len(outcome.made) < 6
