"""Models one after another in one run: the same bits as one run after another through float EXR files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from onnx_graphs import constant, encoder_decoder, model_of, value

from wetgate.cli.main import main
from wetgate.errors import WetgateError
from wetgate.images import Header, Window, open_sink, open_source, read_image, write_image
from wetgate.inference import chains
from wetgate.inference.chains import Plan, Stage
from wetgate.inference.curves import STILL, Curves
from wetgate.inference.sequences import apply
from wetgate.inference.session import OutOfMemory, Session
from wetgate.inference.transforms import UNMOVED, Transform, Transforms
from wetgate.onnx_model import ModelCard
from wetgate.records import receipts

FRAMES = (1001, 1002, 1003, 1005, 1006, 1007)
"""1004 is missing."""


def run(models, scan, output, *, mask=None, damage=None, **options):
    first, *then = (model if isinstance(model, Stage) else Stage(Session(model, "cpu")) for model in models)
    with open_source(scan) as source:
        opened = open_source(mask) if mask is not None else None
        return apply(
            first.session,
            source,
            open_sink(output, source),
            then=then,
            mask=opened,
            damage=first.damage,
            **{"curves": first.curves, **options},
        )


def one_after_another(models, scan, folder, **options):
    """What the chain must come to: each model over the whole scan, into a folder of float EXR files."""
    for index, model in enumerate(models):
        scan, before = folder / str(index), scan
        run([model], before, scan, **options)
    return scan


def pictures(folder):
    return {path.name: read_image(path) for path in sorted(folder.glob("*.exr"))}


def assert_same(chained, separate, names=None):
    """The same bits, NaN included, and the same alpha."""
    found, wanted = pictures(chained), pictures(separate)
    assert list(found) == [name for name in wanted if names is None or name in names] and found
    for name, image in found.items():
        assert np.array_equal(image.pixels.view(np.int32), wanted[name].pixels.view(np.int32)), name
        assert (image.alpha is None) == (wanted[name].alpha is None)
        assert image.alpha is None or np.array_equal(image.alpha, wanted[name].alpha)
        assert image.header.depth == "float"


@pytest.fixture
def temporal(save_model):
    """A model of r frames to either side whose result depends on each of them, and on pixels around."""

    def build(radius: int, seed: int, name: str | None = None) -> Path:
        count = 3 * (2 * radius + 1)
        generator = np.random.default_rng(seed)
        kernel = generator.normal(0, 0.02, (3, count, 3, 3)).astype(np.float32)
        for channel in range(3):
            kernel[channel, 3 * radius + channel, 1, 1] += 0.9
        nodes = [helper.make_node("Conv", ["frames", "kernel"], ["restored"], pads=[1, 1, 1, 1])]
        model = model_of(
            nodes,
            [constant("kernel", kernel)],
            inputs=[value("frames", count)],
            card=ModelCard(recipe="damage", radius=radius, halo=1, record={"seed": seed}),
        )
        return save_model(model, name or f"temporal{radius}-{seed}.onnx")

    return build


@pytest.fixture
def three(temporal, save_model):
    """Two temporal models and one of single frames."""
    return [temporal(1, 1), temporal(2, 2), save_model(encoder_decoder(), "deep.onnx")]


@pytest.mark.parametrize("order", [(0,), (0, 1), (1, 0, 2), (2, 1, 0), (1, 1)])
def test_a_chain_gives_the_bits_of_one_run_after_another(three, save_sequence, tmp_path, order):
    models = [three[index] for index in order]
    scan = save_sequence(FRAMES, depth="float", alpha=True)
    result = run(models, scan, tmp_path / "chained")
    assert_same(tmp_path / "chained", one_after_another(models, scan, tmp_path / "separate"))
    assert result["restored"] == len(FRAMES)


def test_holes_and_masks_are_treated_as_in_one_run_after_another(three, save_sequence, tmp_path):
    scan = save_sequence(FRAMES, depth="float")
    for number in (1002, 1005):
        pixels = read_image(scan / f"shot.{number}.exr").pixels.copy()
        pixels[3:6, 4:9, 1] = np.nan
        pixels[9, 9] = np.inf
        write_image(scan / f"shot.{number}.exr", pixels, bit_depth="float")
    weights = np.linspace(0, 1, 24, dtype=np.float32)[None, :, None].repeat(16, 0).repeat(3, 2)
    write_image(tmp_path / "mask.exr", weights, bit_depth="float")
    result = run(three, scan, tmp_path / "chained", mask=tmp_path / "mask.exr")
    separate = one_after_another(three, scan, tmp_path / "separate", mask=tmp_path / "mask.exr")
    assert_same(tmp_path / "chained", separate)
    assert result["bad_pixels"] == {"1002": 16, "1005": 16}
    scanned = read_image(scan / "shot.1002.exr").pixels
    restored = read_image(tmp_path / "chained" / "shot.1002.exr").pixels
    assert np.array_equal(scanned[:, 0].view(np.int32), restored[:, 0].view(np.int32))
    assert np.array_equal(np.isnan(scanned), np.isnan(restored))


def test_one_channel_and_a_data_window_are_treated_as_in_one_run_after_another(three, save_sequence, tmp_path):
    window = Header("exr", "float", ("Y",), Window(5, 4, 14, 9), Window(0, 0, 24, 16))
    scan = save_sequence(FRAMES, depth="float", like=window)
    run(three, scan, tmp_path / "chained")
    assert_same(tmp_path / "chained", one_after_another(three, scan, tmp_path / "separate"))
    assert read_image(tmp_path / "chained" / "shot.1001.exr").header.data_window == Window(5, 4, 14, 9)


def test_each_stage_tells_what_it_is_told(gain, save_model, save_sequence, tmp_path):
    """Coverage is the least, lost colour and pixels without a number are counted, the change is that from the scan."""
    tint = constant("tint", np.array([1.0, 0.5, 0.5], np.float32).reshape(1, 3, 1, 1))
    tinting = model_of([helper.make_node("Mul", ["frames", "tint"], ["restored"])], [tint], card=ModelCard("color"))
    rooted = model_of([helper.make_node("Sqrt", ["frames"], ["restored"])], card=ModelCard("detail"))
    models = [
        gain(1.0, -0.5, coverage=True),
        save_model(rooted, "sqrt.onnx"),
        save_model(tinting, "tint.onnx"),
    ]
    grey = Header("exr", "float", ("Y",), Window(0, 0, 24, 16), Window(0, 0, 24, 16))
    scan = save_sequence([1, 2], like=grey)
    result = run(models, scan, tmp_path / "chained", change_map=tmp_path / "changes")
    separate = one_after_another(models, scan, tmp_path / "separate")
    assert_same(tmp_path / "chained", separate)
    before, after = (read_image(folder / "shot.0001.exr").pixels for folder in (scan, tmp_path / "chained"))
    assert result["coverage"] == {"1": 0.75, "2": 0.75}
    assert result["unusable_pixels"]["1"] == int((before[..., 0] < 0.5).sum()) > 0
    assert any("written as its luma" in note for note in result["notes"])
    assert result["changes"]["largest"] == pytest.approx(
        max(
            np.abs(
                read_image(scan / f"shot.000{n}.exr").pixels
                - read_image(tmp_path / "chained" / f"shot.000{n}.exr").pixels
            ).max()
            for n in (1, 2)
        ),
    )
    change = read_image(tmp_path / "changes" / "change.0001.exr").pixels
    np.testing.assert_allclose(change, after - before, atol=1e-3)


# Chunks, handles, memory


def test_two_chunks_in_two_processes_are_one_run(three, save_sequence, tmp_path):
    frames = range(1001, 1017)
    scan = save_sequence(frames, depth="float")
    run(three, scan, tmp_path / "whole")
    words = ["--then", str(three[1]), "--then", str(three[2]), "--device", "cpu", "--json"]
    for chunk in ("1001-1008", "1009-1016"):
        command = [
            sys.executable,
            "-m",
            "wetgate",
            "apply",
            three[0],
            scan,
            tmp_path / "chunks",
            "--frames",
            chunk,
            *words,
        ]
        said = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        missing = "998-1000" if chunk == "1001-1008" else "1017-1019"
        assert [missing in note for note in said["notes"] if "before and after" in note] == [True]
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).glob("*.exr")} for name in ("whole", "chunks")]
    assert files[0] == files[1] and len(files[0]) == len(frames)


def test_a_chunk_without_its_handles_is_told_of(three, temporal, gain, save_sequence, tmp_path):
    scan = save_sequence([1001, 1002, 1003, 1005], depth="float")

    def said(models, output, **options):
        notes = run(models, scan, tmp_path / output, **options)["notes"]
        return [note for note in notes if "before and after" in note]

    (note,) = said([temporal(1, 1), temporal(2, 2)], "a", frames=[1002])
    assert "up to 3 frames before and after it" in note and "has no 999-1000,1004:" in note
    assert said([temporal(1, 1)], "b", frames=[1002]) == []
    assert said([gain(1.0)], "c") == []


def test_each_frame_is_made_once_by_each_model_and_few_are_held(three, save_sequence, tmp_path, monkeypatch):
    frames = range(1, 41)
    scan = save_sequence(frames, depth="float")
    made, held = [], []
    restore, forget = chains.restore_frame, chains._Later._forget

    def restoring(window, weights, restorer, name, **options):
        made.append((restorer.session.model_sha256, name))
        return restore(window, weights, restorer, name, **options)

    def forgetting(self):
        held.append(len(self._frames) + len(self._made))
        forget(self)

    monkeypatch.setattr(chains, "restore_frame", restoring)
    monkeypatch.setattr(chains._Later, "_forget", forgetting)
    run(three, scan, tmp_path / "out")
    assert len(made) == len(set(made)) == 3 * len(frames)
    assert max(held) <= 2 * 2 + 1 + 2
    made.clear()
    run(three, scan, tmp_path / "part", frames=[20])
    assert len(made) == 5 + 1 + 1


def test_a_model_that_runs_out_of_memory_is_tiled_by_itself(three, save_sequence, tmp_path, monkeypatch):
    scan = save_sequence(FRAMES, depth="float", size=(90, 70))
    sessions = [Session(model, "cpu") for model in three]
    run([Stage(session) for session in sessions], scan, tmp_path / "whole")
    sizes = {session: [] for session in sessions}

    def limited(self, frames, *others):
        sizes[self].append(frames.shape[-1])
        if self is sessions[1] and frames.shape[-1] > 60:
            raise OutOfMemory("too large")
        return run_into(self, frames, *others)

    run_into = Session.run_into
    monkeypatch.setattr(Session, "run_into", limited)
    monkeypatch.setattr("wetgate.inference.tiles.FIRST_SIDES", {"cpu": 90})
    run([Stage(session) for session in sessions], scan, tmp_path / "tiled")
    assert_same(tmp_path / "tiled", tmp_path / "whole")
    assert max(sizes[sessions[0]]) == max(sizes[sessions[2]]) == 90
    assert min(sizes[sessions[1]]) <= 60


def test_tiles_of_a_size_leave_models_of_whole_frames_alone(three, save_model, save_sequence, tmp_path):
    whole = save_model(encoder_decoder(halo=None), "whole.onnx")
    scan = save_sequence([1, 2], depth="float", size=(70, 60))
    run([three[0], whole], scan, tmp_path / "auto")
    run([three[0], whole], scan, tmp_path / "tiled", tile=16)
    assert_same(tmp_path / "tiled", tmp_path / "auto")
    with pytest.raises(WetgateError, match="cannot be tiled"):
        run([whole], scan, tmp_path / "alone", tile=16)


def test_a_frame_that_cannot_be_read_costs_those_that_need_it(temporal, save_sequence, tmp_path):
    scan = save_sequence(range(1, 12), depth="float")
    run([temporal(1, 1), temporal(1, 2)], scan, tmp_path / "before")
    (scan / "shot.0006.exr").write_bytes(b"torn")
    with pytest.raises(WetgateError, match=r"5 of 11 frames could not be restored \(4-8\): .*shot\.0006\.exr"):
        run([temporal(1, 1), temporal(1, 2)], scan, tmp_path / "after")
    names = [f"shot.{number:04d}.exr" for number in (1, 2, 3, 9, 10, 11)]
    assert_same(tmp_path / "after", tmp_path / "before", names)


# Exposure curves, masks of damage


def test_a_later_stage_is_steadied_by_the_scans_curves(temporal, gain, save_sequence, tmp_path):
    scan = save_sequence([1, 2, 3], depth="float")
    curves = Curves("display", {number: ((0.02 * number, 0.0),) * 3 for number in (1, 2, 3)})
    models = [gain(0.5), temporal(1, 3)]
    stages = [Stage(Session(models[0], "cpu")), Stage(Session(models[1], "cpu"), curves)]
    result = run(stages, scan, tmp_path / "chained")
    run([models[0]], scan, tmp_path / "first")
    run([models[1]], tmp_path / "first", tmp_path / "second", curves=curves)
    assert_same(tmp_path / "chained", tmp_path / "second")
    assert result["steadied"] == {"frames": 3, "largest": 0.06}
    assert any("color has changed its colours by then" in note for note in result["notes"])
    receipt = json.loads((tmp_path / "chained" / ".wetgate" / "shot.0002.exr.json").read_text())
    assert receipt["request"]["exposure"] is None
    assert [lists[0] for lists in receipt["request"]["then"][0]["exposure"]] == [[0.02, 0.0], [0.04, 0.0], [0.06, 0.0]]
    run([Stage(stages[0].session, curves), models[1]], scan, tmp_path / "early")
    assert not np.array_equal(
        read_image(tmp_path / "early" / "shot.0002.exr").pixels,
        read_image(tmp_path / "chained" / "shot.0002.exr").pixels,
    )


@pytest.mark.parametrize(("recipe", "advice"), [("detail", "with --steady it is"), ("steady", "named first, it is")])
def test_what_to_do_about_changed_colours_is_what_can_be_done(
    gain, save_model, save_sequence, tmp_path, recipe, advice
):
    scan, curves = save_sequence([1], depth="float"), Curves("display", {1: ((0.1, 0.0),) * 3})
    identity = model_of([helper.make_node("Identity", ["frames"], ["restored"])], card=ModelCard(recipe, record={}))
    later = Stage(Session(save_model(identity, "later.onnx"), "cpu"), curves)
    (note,) = [one for one in run([gain(0.5), later], scan, tmp_path / "out")["notes"] if "Flicker" in one]
    assert advice in note


def test_a_scan_that_is_brought_to_rest_is_so_for_every_model_after(gain, temporal, save_sequence, tmp_path):
    scan = save_sequence([1, 2, 3], depth="float")
    places = Transforms((24, 16), {1: UNMOVED, 2: Transform(3.0, -1.0), 3: Transform(0.4, 0.2, 0.5)})
    curves = Curves("display", dict.fromkeys((1, 2, 3), STILL), transforms=places)
    models = [gain(1.0), temporal(1, 3)]
    stages = [Stage(Session(models[0], "cpu"), curves), Stage(Session(models[1], "cpu"))]
    result = run(stages, scan, tmp_path / "chained")
    run([models[0]], scan, tmp_path / "first", curves=curves)
    run([models[1]], tmp_path / "first", tmp_path / "second")
    assert_same(tmp_path / "chained", tmp_path / "second")
    assert result["steadied"]["moved"] == 2
    said = read_image(tmp_path / "chained" / "shot.0002.exr").header.attributes
    assert json.loads(said["wetgate:transform"])[:2] == [3.0, -1.0]


@pytest.fixture
def repairing(save_model):
    """Sets to 9 what is marked; by itself, where the red channel is above 0.9."""
    nodes = [
        helper.make_node("Slice", ["frames", "zero", "one", "channels"], ["red"]),
        helper.make_node("Greater", ["red", "bright"], ["found"]),
        helper.make_node("Greater", ["damage", "half"], ["told"]),
        helper.make_node("Less", ["damage", "nothing"], ["untold"]),
        helper.make_node("And", ["untold", "found"], ["itself"]),
        helper.make_node("Or", ["told", "itself"], ["where"]),
        helper.make_node("Where", ["where", "nine", "frames"], ["restored"]),
    ]
    values = [
        constant("damage", np.full((1, 1, 1, 1), -1, np.float32)),
        constant("zero", np.array([0], np.int64)),
        constant("one", np.array([1], np.int64)),
        constant("channels", np.array([1], np.int64)),
        *(
            constant(name, np.float32(number))
            for name, number in (("bright", 0.9), ("half", 0.5), ("nothing", 0), ("nine", 9))
        ),
    ]
    model = model_of(
        nodes,
        values,
        inputs=[value("frames", 3), value("damage", 1, size=("rows", "columns"))],
        card=ModelCard(recipe="damage", record={}),
    )
    return save_model(model, "repairing.onnx")


def test_masks_of_damage_reach_their_stage_wherever_it_stands(repairing, gain, save_sequence, tmp_path):
    scan = save_sequence([1, 2], depth="float")
    masks = tmp_path / "masks"
    masks.mkdir()
    for number in (1, 2):
        marked = np.zeros((16, 24, 3), np.float32)
        marked[number, 3:7] = 1
        write_image(masks / f"mask.{number:04d}.png", marked)
    with open_source(masks) as source:
        first = run([Stage(Session(repairing, "cpu"), damage=source), gain(0.5)], scan, tmp_path / "first")
        run([gain(0.5), Stage(Session(repairing, "cpu"), damage=source)], scan, tmp_path / "later")
        with pytest.raises(WetgateError, match="cannot be told where to repair"):
            run([Stage(Session(gain(0.5), "cpu"), damage=source)], scan, tmp_path / "never")
    for number in (1, 2):
        scanned = read_image(scan / f"shot.{number:04d}.exr").pixels
        for name, repaired in (("first", 4.5), ("later", 9.0)):
            wanted = scanned * np.float32(0.5)
            wanted[number, 3:7] = repaired
            assert np.array_equal(read_image(tmp_path / name / f"shot.{number:04d}.exr").pixels, wanted)
    assert first["restored"] == 2
    marked[5, 5] = 1
    write_image(masks / "mask.0002.png", marked)
    with open_source(masks) as source:
        again = run([Stage(Session(repairing, "cpu"), damage=source), gain(0.5)], scan, tmp_path / "first")
    assert (again["restored"], again["kept"]) == (1, 1)


def test_masks_on_frames_that_were_moved_before_are_told_of(repairing, gain, save_sequence, tmp_path):
    scan = save_sequence([1], depth="float")
    write_image(tmp_path / "mask.png", np.ones((16, 24, 3), np.float32))
    rest = Curves("display", {1: STILL}, transforms=Transforms((24, 16), {1: Transform(1.0)}))
    with open_source(tmp_path / "mask.png") as masks:
        moved, told = Stage(Session(gain(1.0), "cpu"), rest), Stage(Session(repairing, "cpu"), damage=masks)
        for models, count in (([moved, told], 1), ([told, moved], 0)):
            notes = run(models, scan, tmp_path / f"out{count}")["notes"]
            assert sum("drawn on the frames at rest" in note for note in notes) == count


@pytest.mark.parametrize("what", ["mask", "damage"])
def test_masks_are_never_written_over(repairing, save_sequence, tmp_path, what):
    scan, masks = save_sequence([1, 2], depth="float"), tmp_path / "masks"
    masks.mkdir()
    for number in (1, 2):
        write_image(masks / f"shot.{number:04d}.exr", np.ones((16, 24, 3), np.float32))
    before = {path.name: path.read_bytes() for path in masks.iterdir()}
    with open_source(masks) as source:
        stage = Stage(Session(repairing, "cpu"), damage=source if what == "damage" else None)
        options = {"mask": masks} if what == "mask" else {}
        with pytest.raises(WetgateError, match=r"holds the mask shot\.0001\.exr"):
            run([stage], scan, masks, frames=[1], **options)
        assert {path.name: path.read_bytes() for path in masks.iterdir() if path.is_file()} == before
        assert run([stage], scan, masks / "repaired", **options)["restored"] == 2


def test_without_masks_the_model_finds_the_damage(repairing, save_sequence, tmp_path):
    scan = save_sequence([1], depth="float")
    run([repairing], scan, tmp_path / "out")
    scanned, restored = (read_image(folder / "shot.0001.exr").pixels for folder in (scan, tmp_path / "out"))
    found = scanned[..., 0] > 0.9
    assert found.any() and (restored[found] == 9).all() and np.array_equal(restored[~found], scanned[~found])


# Receipts and resuming


def test_receipts_and_headers_name_all_models_in_order(three, gain, save_sequence, tmp_path):
    scan = save_sequence([1, 2, 3], depth="float")
    models = [three[0], gain(1.0)]
    hashes = [Session(model, "cpu").model_sha256 for model in models]
    run(models, scan, tmp_path / "out")
    receipt = json.loads((tmp_path / "out" / ".wetgate" / "shot.0001.exr.json").read_text())
    assert [receipt["request"]["model"], *(one["model"] for one in receipt["request"]["then"])] == hashes
    for sha256 in hashes:
        assert (tmp_path / "out" / ".wetgate" / f"model-{sha256}.json").exists()
    said = read_image(tmp_path / "out" / "shot.0001.exr").header.attributes
    assert said["wetgate:model_sha256"] == ", ".join(hashes)
    assert said["wetgate:recipe"] == "damage, color"
    assert said["wetgate:encoding"] == "display"
    assert said["wetgate:source_file"] == "shot.0001.exr" and said["wetgate:source_frame"] == 1


def test_a_chain_goes_on_where_it_was_and_another_chain_does_not(three, gain, save_sequence, tmp_path):
    scan = save_sequence(range(1, 10), depth="float")
    chain = [three[0], three[1], gain(0.5)]
    run(chain, scan, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.exr")}
    assert run(chain, scan, tmp_path / "out")["kept"] == 9
    (tmp_path / "out" / "shot.0005.exr").unlink()
    assert run(chain, scan, tmp_path / "out")["kept"] == 8
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.exr")} == before
    pixels = read_image(scan / "shot.0001.exr").pixels
    write_image(scan / "shot.0001.exr", 1 - pixels, bit_depth="float")
    assert run(chain, scan, tmp_path / "out")["kept"] == 5  # three frames before and after depend on it
    for other in (
        [three[0], three[1]],
        [three[1], three[0], gain(0.5)],
        [three[0], three[1], gain(0.4, name="other.onnx")],
    ):
        assert run(other, scan, tmp_path / "out")["kept"] == 0


def test_a_video_of_a_chain_is_the_video_of_its_frames(three, gain, save_sequence, tmp_path):
    scan = save_sequence(range(1, 6), depth="float", size=(64, 48))
    run(three, scan, tmp_path / "frames")
    assert run(three, scan, tmp_path / "chained.mkv")["restored"] == 5
    run([gain(1.0)], tmp_path / "frames", tmp_path / "wanted.mkv")
    with open_source(tmp_path / "chained.mkv") as chained, open_source(tmp_path / "wanted.mkv") as wanted:
        assert chained.frames == wanted.frames == [1, 2, 3, 4, 5]
        for frame in chained.frames:
            assert np.array_equal(chained.read(frame).pixels, wanted.read(frame).pixels)
    assert run(three, scan, tmp_path / "chained.mkv")["kept"] == 5
    assert run([*three[:2], gain(0.5)], scan, tmp_path / "chained.mkv")["restored"] == 5
    run(three, tmp_path / "wanted.mkv", tmp_path / "again", frames=[3])
    run(three, tmp_path / "wanted.mkv", tmp_path / "all")
    again, whole = (read_image(tmp_path / name / "wanted.000003.exr").pixels for name in ("again", "all"))
    assert np.array_equal(again, whole)


def test_receipts_of_single_models_are_those_of_before(gain, save_sequence, tmp_path):
    scan = save_sequence([1], depth="float")
    run([gain(0.5)], scan, tmp_path / "out")
    request = receipts.load(tmp_path / "out" / "shot.0001.exr")["request"]
    assert sorted(request) == ["exposure", "frame", "inputs", "mask", "model", "software", "source", "window"]


def test_models_for_different_encodings_cannot_follow_one_another(gain, save_model, save_sequence, tmp_path):
    node = helper.make_node("Identity", ["frames"], ["restored"])
    logarithmic = save_model(model_of([node], card=ModelCard("detail", encoding="log", record={})), "log.onnx")
    foreign = save_model(model_of([node]), "foreign.onnx")
    scan = save_sequence([1], depth="float")
    with pytest.raises(WetgateError, match="different encodings \\(color on display, detail on log\\)"):
        run([gain(1.0), logarithmic], scan, tmp_path / "out")
    assert run([gain(1.0), foreign], scan, tmp_path / "out")["restored"] == 1


# The plan, the command


def test_the_plan_of_a_chain_is_what_its_windows_need():
    plan = Plan([1, 2], [10], frozenset(range(0, 100)))
    assert plan.windows[1] == {10: (8, 9, 10, 11, 12)}
    assert list(plan.windows[0]) == [8, 9, 10, 11, 12]
    assert plan.windows[0][8] == (7, 8, 9)
    assert plan.scans == list(range(7, 14))
    assert Plan([1, 2], [10], frozenset([10, 11])).windows[1] == {10: (10, 10, 10, 11, 11)}


def test_the_command_runs_a_chain(three, save_sequence, tmp_path, capsys):
    scan = save_sequence(FRAMES, depth="float")
    words = ["apply", three[0], scan, tmp_path / "out", "--then", three[1], "--then", three[2], "--device", "cpu"]
    assert main([str(word) for word in words]) == 0
    assert "with damage, then damage, then color, on cpu." in capsys.readouterr().out
    assert_same(tmp_path / "out", one_after_another(three, scan, tmp_path / "separate"))


@pytest.mark.parametrize(
    ("steadies", "words", "steadied"),
    [
        ((False, True, True), [], [False, True, False]),
        ((True, True, False), [], [True, False, False]),
        ((False, True, False), ["--steady"], [True, False, False]),
        ((True, True, True), ["--no-steady"], [False, False, False]),
        ((False, False, False), [], [False, False, False]),
    ],
)
def test_flicker_is_taken_out_once_before_the_first_model_that_wants_it(
    save_model, save_sequence, tmp_path, capsys, steadies, words, steadied
):
    scan = save_sequence([1, 2], depth="float")
    models = []
    for index, steady in enumerate(steadies):
        node = helper.make_node("Identity", ["frames"], ["restored"])
        card = ModelCard("damage", record={"settings": {"steady": steady}})
        models.append(str(save_model(model_of([node], card=card), f"{index}.onnx")))
    chain = [models[0], str(scan), str(tmp_path / "out"), "--then", models[1], "--then", models[2]]
    assert main(["apply", *chain, *words, "--json"]) == 0
    request = receipts.load(tmp_path / "out" / "shot.0001.exr")["request"]
    found = [request["exposure"], *(stage["exposure"] for stage in request["then"])]
    assert [exposure is not None for exposure in found] == steadied
    assert (json.loads(capsys.readouterr().out)["steadied"] is not None) is any(steadied)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_chain_goes_on_to_the_same_bytes(three, save_sequence, tmp_path):
    scan = save_sequence(range(1, 61), depth="float")
    run(three, scan, tmp_path / "whole")
    words = [three[0], scan, tmp_path / "out", "--then", three[1], "--then", three[2], "--device", "cpu", "--json"]
    command = [sys.executable, "-m", "wetgate", "apply", *map(str, words)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while len(list((tmp_path / "out").glob("shot.*.exr"))) < 5 and child.poll() is None:
            pass
    finally:
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
        child.wait()
    run(three, scan, tmp_path / "out")
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).glob("*.exr")} for name in ("whole", "out")]
    assert files[0] == files[1]
