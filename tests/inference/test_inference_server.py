"""The inference server as its clients know it: a real process, real shared memory, real files."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from onnx_graphs import constant, encoder_decoder, model_of, value
from real_server import RealServer, open_descriptors, restore, shared_maps, until

from wetgate.errors import WetgateError
from wetgate.images import open_sink, open_source, read_image, write_image
from wetgate.inference.curves import Curves
from wetgate.inference.sequences import apply
from wetgate.inference.session import Session
from wetgate.inference.tiles import Restorer
from wetgate.onnx_model import ModelCard
from wetgate.project.locks import is_locked
from wetgate.service.client import ServerError, ServerGone
from wetgate.service.layout import lay_out
from wetgate.service.protocol import Code, Device

pytestmark = pytest.mark.skipif(os.name == "nt", reason="looks into /proc and sends signals")
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def client(serving):
    with serving.client() as connected:
        yield connected


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def endless(save_model, name: str = "endless.onnx") -> Path:
    """A model that adds 1 to a picture many million times: nobody waits for its end."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["carried", "one"], ["next"]),
            helper.make_node("Identity", ["go_on"], ["still"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("count", 7, []),
            helper.make_tensor_value_info("go_on", 9, []),
            value("carried", 3),
        ],
        [helper.make_tensor_value_info("still", 9, []), value("next", 3)],
    )
    node = helper.make_node("Loop", ["times", "yes", "frames"], ["restored"], body=body)
    values = [constant("times", np.array(2**40)), constant("yes", np.array(True)), constant("one", np.float32(1))]
    return save_model(model_of([node], values, card=ModelCard("color")), name)


# Pixels


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (123, 157), (272, 640)])
def test_pixels_are_those_of_the_session(client, deep, size):
    frame = picture(*size)
    expected, *_ = Restorer(Session(deep, "cpu")).restore([frame])
    restored, _, answer = restore(client, deep, [frame])
    assert np.array_equal(restored, expected)
    assert (answer.device, answer.bits, answer.coverage, answer.tiles) == (Device.CPU, 32, False, 1)
    assert answer.sha256 == Session(deep, "cpu").model_sha256
    assert 0 < answer.model_us <= answer.total_us


def test_a_temporal_model_gets_its_whole_window(client, mean_of_window):
    window = [picture(20, 30, seed) for seed in range(3)]
    restored, *_ = restore(client, mean_of_window(1), window)
    np.testing.assert_allclose(restored, window[1] + 0.01 * window[0] + 0.03 * window[2], atol=1e-6)


def test_coverage_comes_where_the_model_gives_one(client, gain):
    _, covered, answer = restore(client, gain(coverage=True), [picture(9, 7)], coverage=True)
    assert answer.coverage and (covered == 0.75).all()
    _, _, answer = restore(client, gain(name="plain.onnx"), [picture(9, 7)], coverage=True)
    assert not answer.coverage


def test_bad_pixels_are_filled_as_apply_fills_them(client, deep, tmp_path):
    frame = picture(40, 50)
    frame[3, 4] = np.nan
    frame[30:, 20, 1] = np.inf
    scan, output = tmp_path / "scan.0001.exr", tmp_path / "out" / "scan.0001.exr"
    write_image(scan, frame, bit_depth="float")
    with open_source(scan) as source:
        apply(Session(deep, "cpu"), source, open_sink(output, source))
    restored, *_ = restore(client, deep, [frame], may_hold_nan=True)
    bad = ~np.isfinite(frame).all(axis=2)
    assert np.array_equal(restored[~bad], read_image(output).pixels[~bad])
    assert np.isfinite(restored[bad]).all()


def test_frames_are_steadied_by_their_curves(client, gain, tmp_path):
    curves = Curves("display", {7: ((0.1, 0.02),) * 3})
    path = tmp_path / "curves.json"
    path.write_text(curves.dumps())
    frame = picture(30, 40)
    restored, *_ = restore(client, gain(2.0), [frame], numbers=[7], curves=path)
    np.testing.assert_allclose(restored, curves.steady(7, frame) * 2, rtol=1e-6)
    with pytest.raises(ServerError, match="know no frame 8"):
        restore(client, gain(2.0), [frame], numbers=[8], curves=path)
    with pytest.raises(ServerError, match="do not exist"):
        restore(client, gain(2.0), [frame], curves=tmp_path / "none.json")


def test_memory_that_does_not_suffice_makes_smaller_tiles(places, save_model):
    path = save_model(encoder_decoder(width=32), "wide.onnx")
    frame = picture(500, 700)
    expected, *_ = Restorer(Session(path, "cpu")).restore([frame])
    serving = RealServer(places, before="from wetgate.inference import session\nsession.CPU_BUDGET = 24 << 20")
    try:
        with serving.client() as client:
            restored, _, answer = restore(client, path, [frame])
    finally:
        serving.end()
    assert answer.tiles > 1
    assert np.array_equal(restored, expected)


# Models


def test_a_description_says_what_the_file_says(client, save_model, tmp_path):
    card = ModelCard("color", radius=0, halo=9, encoding="log", colour_space="Cineon", protected="grain", producer="me")
    path = save_model(model_of([helper.make_node("Identity", ["frames"], ["restored"])], card=card))
    model = client.describe(path)
    said = (model.radius, model.halo, model.recipe, model.encoding, model.colour_space, model.protected, model.producer)
    assert said == (0, 9, "color", "log", "Cineon", "grain", "me")
    assert not model.gives_coverage and model.limits == ""
    foreign = model_of([helper.make_node("Neg", ["x"], ["y"])], inputs=[value("x", 3)], outputs=[value("y", 3)])
    model = client.describe(save_model(foreign, "foreign.onnx"))
    assert model.halo is None and "made" not in model.recipe and "tiled" in model.limits


def test_a_model_trained_steady_says_that_it_wants_curves(client, save_model):
    card = ModelCard("color", record={"settings": {"steady": True}})
    path = save_model(model_of([helper.make_node("Identity", ["frames"], ["restored"])], card=card))
    assert "exposure curves" in client.describe(path).limits


def test_a_model_that_was_replaced_is_used_from_the_next_frame_on(client, gain):
    frame = picture(8, 8)
    path = gain(0.5)
    first, *_ = restore(client, path, [frame])
    gain(0.25)
    second, _, answer = restore(client, path, [frame])
    assert np.array_equal(first, frame * np.float32(0.5)) and np.array_equal(second, frame * np.float32(0.25))
    assert client.describe(path).sha256 == answer.sha256
    assert len(client.status()["models"]) == 1


def test_another_window_than_the_models_is_told_apart(client, mean_of_window, gain):
    with pytest.raises(ServerError, match="looks at 3 frames") as refusal:
        restore(client, mean_of_window(1), [picture(4, 4)])
    assert refusal.value.code is Code.WINDOW


def test_models_that_cannot_be_used_are_sentences(client, save_model, tmp_path):
    huge = tmp_path / "huge.onnx"
    with open(huge, "wb") as stream:
        stream.truncate(2**31 - 1)
    larger = tmp_path / "larger.onnx"
    with open(larger, "wb") as stream:
        stream.truncate(2**31)
    os.mkfifo(tmp_path / "pipe.onnx")
    outside = constant("w", np.ones((1, 3, 1, 1), np.float32))
    outside.ClearField("raw_data")
    outside.data_location = 1
    outside.external_data.add(key="location", value="../../../../etc/passwd")
    hostile = model_of([helper.make_node("Add", ["frames", "w"], ["restored"])], [outside], card=ModelCard("color"))
    text = model_of(
        [helper.make_node("Identity", ["words"], ["restored"])],
        inputs=[helper.make_tensor_value_info("words", 8, ["n"])],
        outputs=[helper.make_tensor_value_info("restored", 8, ["n"])],
    )
    models = {
        tmp_path / "none.onnx": "does not exist",
        tmp_path: "is a folder",
        huge: "not a whole ONNX model",
        larger: "larger than 2 GB",
        tmp_path / "pipe.onnx": "is no file",
        save_model(os.urandom(1 << 20), "junk.onnx"): "not a whole ONNX model",
        save_model(hostile, "hostile.onnx"): "keeps its weights in another file",
        save_model(text, "text.onnx"): "cannot be used",
    }
    for path, sentence in models.items():
        for ask in (client.describe, lambda path: restore(client, path, [picture(4, 4)])):
            with pytest.raises(ServerError, match=sentence) as refusal:
                ask(path)
            assert refusal.value.code is Code.MODEL
    assert client.status()["models"] == []


def test_models_that_fail_at_work_are_sentences(client, save_model, gain):
    reshape = helper.make_node("Reshape", ["frames", "shape"], ["restored"])
    fixed = model_of([reshape], [constant("shape", np.array([1, 3, 4, 4]))], card=ModelCard("color"))
    with pytest.raises(ServerError, match="failed on a picture of 5x7 pixels") as refusal:
        restore(client, save_model(fixed, "fixed.onnx"), [picture(7, 5)])
    assert refusal.value.code is Code.FAILED
    lying = model_of(
        [helper.make_node("Transpose", ["frames"], ["restored"], perm=[0, 1, 3, 2])], card=ModelCard("color")
    )
    with pytest.raises(ServerError, match="failed on a picture"):
        restore(client, save_model(lying, "lying.onnx"), [picture(7, 5)])
    restored, *_ = restore(client, gain(), [picture(7, 5)])
    assert np.array_equal(restored, picture(7, 5) * np.float32(0.5))


@only_linux
def test_a_model_that_asks_for_more_memory_than_there_is_gets_none(client, serving, save_model):
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    vast = [
        helper.make_node("ReduceSum", ["frames"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["zero"], to=7),
        helper.make_node("Mul", ["zero", "none"], ["nothing"]),
        helper.make_node("Add", ["nothing", "count"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["vast"]),
        helper.make_node("ReduceSum", ["vast"], ["total"], keepdims=0),
        helper.make_node("Add", ["frames", "total"], ["restored"]),
    ]
    values = [constant("none", np.array(0)), constant("count", np.array([memory // 4 * 8 // 10]))]
    foreign = model_of(vast, values)  # its reach is unknown, so no arena bounds it
    process = serving.process()
    with pytest.raises(ServerError) as refusal:
        restore(client, save_model(foreign), [picture(4, 4)])
    assert refusal.value.code is Code.OUT_OF_MEMORY
    assert client.status()["process"] == process


# Several at once


def test_four_clients_share_a_session(serving, deep):
    frames = [picture(64, 80, seed) for seed in range(4)]
    restorer = Restorer(Session(deep, "cpu"))
    expected = [restorer.restore([frame])[0] for frame in frames]

    def work(index: int) -> bool:
        with serving.client() as client:
            return all(np.array_equal(restore(client, deep, [frames[index]])[0], expected[index]) for _ in range(5))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    with serving.client() as client:
        status = client.status()
    assert status["frames"] == 20 and len(status["models"]) == 1


def test_servers_started_at_once_come_to_one(places):
    serving = RealServer(places)
    try:
        with ThreadPoolExecutor(4) as pool:
            processes = set(pool.map(lambda _: serving.process(), range(4)))
        assert len(processes) == 1
        second = subprocess.run([serving.command, "serve", "--json"], capture_output=True)
        assert second.returncode == 0 and json.loads(second.stdout) == {"state": "other"}
    finally:
        serving.end()


# Giving up


def test_requests_at_work_and_in_the_queue_are_given_up_when_asked(client, serving, save_model, gain):
    """The first is stopped at work, the second before its turn; the third, of another client, is done."""
    with serving.client() as other, serving.client() as third:
        stop = threading.Event()
        frame, path = picture(64, 64), endless(save_model)  # written once: nobody may read half of it

        def wait_in_vain(connected):
            with pytest.raises(ServerError) as refusal:
                restore(connected, path, [frame], cancelled=stop.is_set)
            return refusal.value.code

        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(wait_in_vain, client), pool.submit(wait_in_vain, other)]
            until(lambda: serving.requests() == 2)
            last = pool.submit(restore, third, gain(), [frame])
            stop.set()
            assert [future.result() for future in waiting] == [Code.CANCELLED] * 2
            assert np.array_equal(last.result()[0], frame * np.float32(0.5))


@only_linux
def test_a_client_that_is_killed_leaves_nothing_behind(serving, save_model, gain):
    """Its memory is unmapped and its request, which would never end, makes room for the others."""
    path = endless(save_model)
    process = serving.process()
    script = (
        "import sys, numpy as np; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from real_server import RealServer, restore\nfrom wetgate.service.places import Places\n"
        "client = RealServer(Places(Path(sys.argv[2]))).client()\n"
        "restore(client, Path(sys.argv[3]), [np.zeros((64, 64, 3), np.float32)])\n"
    )
    words = [sys.executable, "-c", script, str(Path(__file__).parent), str(serving.places.folder), str(path)]
    with serving.client() as client:
        until(lambda: len(client.status()["clients"]) == 1)  # who asked for the process is gone, too
        before = open_descriptors(process)
        killed = subprocess.Popen(words)
        until(lambda: any(one["process"] == killed.pid and one["requests"] for one in client.status()["clients"]))
        assert shared_maps(process) == 1
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        restored, *_ = restore(client, gain(), [picture(4, 4)])
        assert np.array_equal(restored, picture(4, 4) * np.float32(0.5))
        until(lambda: shared_maps(process) == 0)
        until(lambda: open_descriptors(process) == before)


@only_linux
def test_memory_is_given_back_when_it_is_forgotten(client, serving, gain, save_model):
    process = serving.process()
    restore(client, gain(), [picture(4, 4)])
    client.status()  # what was sent before it is done by now
    assert shared_maps(process) == 0
    with pytest.raises(ServerError):
        restore(client, save_model(b"junk", "junk.onnx"), [picture(4, 4)])
    assert shared_maps(process) == 1  # the request failed, so the memory was not forgotten


def test_memory_that_is_not_there_or_too_small_is_refused(client, gain):
    layout = lay_out(1, 64, 64)
    segment = client.memory(layout.bytes // 2)
    for number in (segment.number, 77):
        segment.number, known = number, segment.number
        with pytest.raises(ServerError) as refusal:
            client.render(segment, 64, 64, [1], gain(), layout=layout)
        segment.number = known
        assert refusal.value.code is Code.MEMORY


def test_a_server_that_is_killed_is_followed_by_a_new_one(serving, gain):
    with serving.client() as client:
        serving.kill()
        with pytest.raises(ServerGone, match="ended"):
            restore(client, gain(), [picture(4, 4)])
    with serving.client() as client:
        restored, *_ = restore(client, gain(), [picture(4, 4)])
    assert np.array_equal(restored, picture(4, 4) * np.float32(0.5))


# Its life


def test_it_ends_when_nobody_wants_anything(places):
    process = RealServer(places).start("--idle", "0.2s")
    assert process.wait(60) == 0
    assert not is_locked(places.lock) and not places.socket.exists()


def test_it_does_not_end_while_it_computes(places, save_model):
    serving = RealServer(places)
    process = serving.start("--idle", "0.3s")
    stop = threading.Event()
    with serving.client() as client, serving.client() as watching, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(restore, client, endless(save_model), [picture(8, 8)], cancelled=stop.is_set)
        until(lambda: process.poll() is not None or watching.status()["uptime_s"] > 1.5)
        assert process.poll() is None
        stop.set()
        with pytest.raises(ServerError):
            waiting.result()
    assert process.wait(60) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(places, number):
    process = RealServer(places).start()
    process.send_signal(number)
    assert process.wait(60) == 0
    assert not places.socket.exists()
    assert "ended after 0 frames" in places.log.read_text()


def test_stopping_gives_up_what_would_never_end(serving, save_model):
    with serving.client() as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(restore, client, endless(save_model), [picture(8, 8)])
        until(lambda: serving.requests() == 1)
        serving.end()
        with pytest.raises(WetgateError):
            waiting.result()
    until(lambda: not is_locked(serving.places.lock))


def test_its_state_in_words(serving, gain):
    def ask(*words: str) -> str:
        done = subprocess.run([serving.command, "serve", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "No inference server is running" in ask("--status")
    assert "No inference server is running" in ask("--stop")
    with serving.client() as client:
        restore(client, gain(), [picture(4, 4)])
        said = ask("--status")
        assert "1 frames" in said and "gain.onnx  on cpu, 32 bit" in said and f"process {os.getpid()}" in said
        assert json.loads(ask("--status", "--json"))["frames"] == 1
    assert "told to end" in ask("--stop")
    assert not is_locked(serving.places.lock)


def test_strangers_are_told_and_sent_away(serving, client):
    for words in (b"GET / HTTP/1.1\r\n\r\n", bytes(16)):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(serving.places.socket))
            stranger.sendall(words)
            answer = b"".join(iter(lambda: stranger.recv(4096), b""))
        assert b"broke the protocol" in answer
    assert client.status()["clients"]


# Files


@pytest.mark.parametrize("suffix", [".exr", ".dpx", ".png"])
def test_files_are_those_of_apply(client, deep, save_sequence, tmp_path, suffix):
    scan = save_sequence([1, 2], suffix=suffix, alpha=suffix == ".exr")
    curves = Curves("display", {1: ((0.05, 0.01),) * 3, 2: ((-0.02, 0.0),) * 3})
    with open_source(scan) as source:
        apply(Session(deep, "cpu"), source, open_sink(tmp_path / "applied", source), curves=curves)
    kept = tmp_path / "curves.json"
    kept.write_text(curves.dumps())
    for number in (1, 2):
        name = f"shot.{number:04d}{suffix}"
        client.render_file([scan / name], tmp_path / "served" / name, deep, curves=kept, numbers=[number])
        applied, served = read_image(tmp_path / "applied" / name), read_image(tmp_path / "served" / name)
        assert np.array_equal(served.pixels, applied.pixels)
        assert (served.alpha is None) == (applied.alpha is None)
        marks = {key: text for key, text in applied.header.attributes.items() if key.startswith("wetgate:")}
        assert marks.items() <= served.header.attributes.items()


def test_a_mask_leaves_the_scan_alone(client, gain, save_sequence, tmp_path):
    scan = save_sequence([1])
    weights = np.zeros((16, 24, 3), np.float32)
    weights[:, 12:] = 1
    write_image(tmp_path / "mask.png", weights)
    client.render_file([scan / "shot.0001.exr"], tmp_path / "out.exr", gain(), mask=tmp_path / "mask.png")
    before, after = read_image(scan / "shot.0001.exr").pixels, read_image(tmp_path / "out.exr").pixels
    assert np.array_equal(after[:, :12], before[:, :12])
    assert np.array_equal(after[:, 12:], (before[:, 12:] * np.float32(0.5)).astype(np.float16).astype(np.float32))


def test_a_window_of_files(client, mean_of_window, save_sequence, tmp_path):
    scan = save_sequence([1, 2, 3], depth="float")
    files = [scan / f"shot.{number:04d}.exr" for number in (1, 2, 3)]
    client.render_file(files, tmp_path / "out.exr", mean_of_window(1))
    first, middle, last = (read_image(file).pixels for file in files)
    np.testing.assert_allclose(read_image(tmp_path / "out.exr").pixels, middle + 0.01 * first + 0.03 * last, rtol=1e-5)


def test_files_that_cannot_be_read_or_written_are_sentences(client, gain, mean_of_window, save_sequence, tmp_path):
    scan = save_sequence([1])
    good = scan / "shot.0001.exr"
    output = tmp_path / "out" / "frame.exr"
    truncated = tmp_path / "cut" / "short.exr"
    truncated.parent.mkdir()
    truncated.write_bytes(good.read_bytes()[:-40])
    other_size = save_sequence([2], size=(10, 12), folder="small") / "shot.0002.exr"
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(scan)
    asked = [
        ([scan / "none.exr"], output, gain(), "none.exr"),
        ([truncated], output, gain(), "short.exr"),
        ([good], scan / "out.exr", gain(), "nothing is written"),
        ([good], scan / "restored" / "out.exr", gain(), "nothing is written"),
        ([good], tmp_path / "link" / "restored" / "out.exr", gain(), "nothing is written"),
        ([good], good, gain(), "nothing is written"),
        ([good], tmp_path / "file" / "out.exr", gain(), "a file stands where a folder is needed"),
        ([good, good, other_size], output, mean_of_window(1), "all frames of a sequence must have one size"),
    ]
    for scans, target, model, sentence in asked:
        with pytest.raises(ServerError, match=sentence) as refusal:
            client.render_file(scans, target, model)
        assert refusal.value.code is Code.FILE
    assert not list((tmp_path / "out").glob("*"))
    assert list(scan.iterdir()) == [good]


def test_curves_that_were_measured_again_are_used_from_the_next_frame_on(client, gain, tmp_path):
    path, frame = tmp_path / "curves.json", picture(8, 8)
    for offset in (0.1, 0.2):
        curves = Curves("display", {7: ((offset, 0.0),) * 3})
        path.write_text(curves.dumps())
        restored, *_ = restore(client, gain(2.0), [frame], numbers=[7], curves=path)
        np.testing.assert_allclose(restored, curves.steady(7, frame) * 2, rtol=1e-6)
