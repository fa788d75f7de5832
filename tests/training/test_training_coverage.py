"""Coverage: what the model file says of colours that no pair shows."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from color_pictures import faded, smooth_picture

from wetgate.inference.session import Session
from wetgate.inference.tiles import Restorer
from wetgate.onnx_model import ModelCard, read_card
from wetgate.training import closed_form
from wetgate.training.color_model import PROTECTED, forward, forward_with_coverage
from wetgate.training.onnx_export import export
from wetgate.training.samples import make_sample
from wetgate.training.torch_operations import Torch, tensor

SIZES = [(1, 1), (5, 7), (37, 53), (101, 203)]


@pytest.fixture
def save(tmp_path):
    def save(model, name="model.onnx", *, function=forward_with_coverage, half=False):
        export(tmp_path / name, lambda ops, frames: function(ops, frames, model), ModelCard("color"), half=half)
        return tmp_path / name

    return save


@pytest.fixture(scope="module")
def solved():
    """A model of two pairs whose colours are all reddish, and these pairs' scans."""
    originals = [smooth_picture(seed) * np.array([1.0, 0.5, 0.3], np.float32) for seed in (1, 2)]
    scans = [faded(original) for original in originals]
    samples = [
        make_sample(scan, original, "display", number=number, frame=number)
        for number, (scan, original) in enumerate(zip(scans, originals, strict=True), 1)
    ]
    model = closed_form.first_model(samples, "display", "grain")
    return closed_form.with_kernels(model, samples, 0), scans


def coverage_of(path, scan):
    return Session(path, "cpu").run(np.ascontiguousarray(scan.transpose(2, 0, 1)[None]))[1][0, 0]


@pytest.mark.parametrize("protect", PROTECTED)
@pytest.mark.parametrize("encoding", ["display", "linear", "log"])
def test_the_file_gives_it_as_torch_does(make_model, save, encoding, protect):
    model = make_model(encoding, protect)
    path = save(model)
    for size in SIZES:
        scan = smooth_picture(3, *size)
        with torch.no_grad():
            wanted = forward_with_coverage(Torch(), tensor(scan), model)[1][0, 0].numpy()
        found = coverage_of(path, scan)
        assert found.shape == size
        assert found.min() >= 0
        assert found.max() <= 1
        np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("with_context", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_it_changes_no_bit_of_what_is_restored(make_model, save, with_context, half):
    model = make_model(with_context=with_context)
    plain = Session(save(model, "plain.onnx", function=forward, half=half), "cpu")
    telling = Session(save(model, half=half), "cpu")
    frames = np.ascontiguousarray(smooth_picture(3, 101, 203).transpose(2, 0, 1)[None])
    assert plain.run(frames)[1] is None
    assert np.array_equal(plain.run(frames)[0], telling.run(frames)[0])


def test_it_is_not_computed_in_16_bit(solved, save):
    model, scans = solved
    assert np.array_equal(
        coverage_of(save(model), scans[0]), coverage_of(save(model, "half.onnx", half=True), scans[0])
    )


def test_tiles_equal_the_whole_frame_bit_for_bit(make_model, save):
    session = Session(save(make_model(with_context=False)), "cpu")
    scan = smooth_picture(3, 157, 203)
    whole = session.run(np.ascontiguousarray(scan.transpose(2, 0, 1)[None]))[1][0, 0]
    assert 0 < whole.mean() < 1
    for tile in (16, 72):
        assert np.array_equal(Restorer(session, tile).restore([scan])[1], whole)


def test_colours_of_the_pairs_are_known_and_others_are_not(solved, save):
    model, scans = solved
    path = save(model)
    for scan in scans:
        assert coverage_of(path, scan).mean() > 0.97
    same_kind = faded(smooth_picture(5) * np.array([1.0, 0.5, 0.3], np.float32))
    other_kind = faded(smooth_picture(5) * np.array([0.3, 0.5, 1.0], np.float32))
    assert coverage_of(path, same_kind).mean() > 0.8
    assert coverage_of(path, other_kind).mean() < 0.5


def test_pairs_of_more_colours_than_there_are_kernels_know_their_own(save):
    generator = np.random.default_rng(0)
    scans = [generator.random((6, 8, 3), dtype=np.float32).repeat(8, 0).repeat(8, 1) for _ in range(8)]
    samples = [make_sample(scan, scan, "display", number=1, frame=1) for scan in scans]
    model = closed_form.with_kernels(closed_form.first_model(samples, "display", "grain"), samples, 0)
    assert model.kernels.own < 0.7
    assert np.mean([coverage_of(save(model), scan).mean() for scan in scans]) > 0.9


def test_a_part_that_no_pair_shows_is_found_in_its_place(solved, save):
    model, scans = solved
    mixed = scans[0].copy()
    mixed[:, 64:] = np.array([0.15, 0.2, 0.9], np.float32)
    coverage = coverage_of(save(model), mixed)
    assert coverage[:, :48].mean() > 0.9
    assert coverage[:, 80:].max() < 0.05


def test_the_halo_holds_for_it_too(make_model, save):
    path = save(make_model(with_context=False))
    halo = read_card(path).halo
    scan = smooth_picture(3, 2 * halo + 40, 2 * halo + 40)
    changed = scan.copy()
    at = len(scan) // 2
    changed[at, at] += 0.5
    seen = np.argwhere(coverage_of(path, scan) != coverage_of(path, changed))
    assert 0 < np.abs(seen - at).max() <= halo


def test_a_plain_fit_tells_none_rather_than_a_guess(make_model, save):
    path = save(make_model(with_kernels=False))
    assert [output.name for output in onnx.load(path).graph.output] == ["restored"]
    assert not Session(path, "cpu").gives_coverage


def test_the_file_with_coverage_is_valid(make_model, save):
    onnx.checker.check_model(onnx.load(save(make_model())), full_check=True)
