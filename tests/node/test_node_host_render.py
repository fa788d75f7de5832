"""What the node makes of pictures, in the strict host and with the real server: the same as `wetgate apply`."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from host import OK, Clip, Host, Layout
from onnx import helper
from onnx_graphs import constant, encoder_decoder, model_of

from wetgate.images import open_sink, open_source, read_image, write_image
from wetgate.inference.curves import Curves, load_curves
from wetgate.inference.sequences import apply
from wetgate.inference.session import Session
from wetgate.inference.tiles import FIRST_SIDES, spans
from wetgate.inference.transforms import Transform, Transforms
from wetgate.onnx_model import ModelCard

SUFFIXES = {np.float32: (".exr", "float"), np.uint16: (".png", "16"), np.uint8: (".png", "8")}


@pytest.fixture
def host(library, places):
    loaded = Host(library)
    yield loaded
    loaded.unload()
    assert loaded.violations == []


@pytest.fixture
def applied(tmp_path):
    """What `wetgate apply` makes of frames, by number; ``curves`` is a file, ``mask`` an array."""

    def run(model, frames, *, mask=None, curves=None):
        dtype = next(iter(frames.values())).dtype.type
        suffix, depth = SUFFIXES[dtype]
        largest = 1 if dtype is np.float32 else np.iinfo(dtype).max
        for folder in ("scan", "result", "mask"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for number, pixels in frames.items():
            values = pixels.astype(np.float32) / np.float32(largest)
            alpha = values[..., 3] if values.shape[2] == 4 else None
            write_image(tmp_path / "scan" / f"{number:04d}{suffix}", values[..., :3], bit_depth=depth, alpha=alpha)
        if mask is not None:
            alpha = mask[..., 3] if mask.shape[2] == 4 else None
            write_image(tmp_path / "mask" / "mask.exr", mask[..., :3], bit_depth="float", alpha=alpha)
        source = open_source(str(tmp_path / "scan"))
        masks = open_source(str(tmp_path / "mask")) if mask is not None else None
        sink = open_sink(str(tmp_path / "result"), source)
        apply(Session(model), source, sink, mask=masks, curves=load_curves(curves) if curves else None)
        results = {number: read_image(sink.path(number)) for number in frames}
        return {
            number: np.rint(image.pixels * largest) if largest > 1 else image.pixels
            for number, image in results.items()
        }

    return run


def assert_same(result, expected):
    """Codes are the same; floats differ by 1e-5 at most."""
    assert result.status == OK
    got = result.pixels[..., :3]
    tolerance = 1e-5 if got.dtype == np.float32 else 0
    np.testing.assert_allclose(got.astype(np.float64), expected.astype(np.float64), rtol=0, atol=tolerance)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (97, 5), (640, 272)])
@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.uint8])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_frame_is_what_apply_writes(host, save_model, picture, applied, size, dtype, channels):
    model = save_model(encoder_decoder())
    scan = picture(1, size, channels, dtype)
    node = host.node(model=model, source=Clip({7: scan}))
    result = node.render(7)
    assert node.message is None
    assert_same(result, applied(model, {7: scan})[7])
    np.testing.assert_array_equal(result.pixels[..., 3:], scan[..., 3:])


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_windows_and_both_ends_of_a_clip_are_as_apply_has_them(host, mean_of_window, picture, applied, radius, dtype):
    model = mean_of_window(radius)
    frames = {number: picture(number, (33, 9), 4, dtype) for number in (11, 12, 13, 14)}
    expected = applied(model, frames)
    node = host.node(model=model, source=Clip(frames))
    for number in frames:
        result = node.render(number)
        assert result.frames_needed == (max(11, number - radius), min(14, number + radius))
        assert_same(result, expected[number])


def test_a_large_frame(host, gain, picture):
    scan = picture(1, (4096, 3112), 4, np.uint8)
    result = host.node(model=gain(0.5), source=Clip({1: scan})).render(1)
    assert result.status == OK
    np.testing.assert_array_equal(result.pixels[..., :3], np.rint(scan[..., :3] / np.float32(255) * np.float32(127.5)))
    np.testing.assert_array_equal(result.pixels[..., 3], scan[..., 3])


def test_a_large_frame_in_tiles_is_as_apply_has_it(host, save_model, picture, applied):
    model = save_model(encoder_decoder())
    width, height = 2480, 2400
    card = Session(model).card
    assert [len(spans(side, FIRST_SIDES["cpu"], card.halo, card.multiple)) for side in (width, height)] == [2, 2]
    frames = {1: picture(1, (width, height), 4, np.float32)}
    assert_same(host.node(model=model, source=Clip(frames)).render(1), applied(model, frames)[1])


def test_a_neighbour_that_the_host_does_not_have_is_the_nearer_frame(host, mean_of_window, picture):
    frames = {number: picture(number) for number in (1, 2, 3, 4, 5)}
    node = host.node(model=mean_of_window(2), source=Clip(frames), refused_times={2})
    result = node.render(3)
    colours = {number: frames[number][..., :3] for number in frames}
    window = [colours[3], colours[3], colours[3], colours[4], colours[5]]  # a gap ends the window, as in `apply`
    shares = [0.01, 0.02, 1.0, 0.04, 0.05]
    np.testing.assert_allclose(
        result.pixels[..., :3], sum(s * w for s, w in zip(shares, window, strict=True)), atol=1e-5
    )


def test_a_host_without_other_times_repeats_its_frame(library, places, mean_of_window, picture):
    host = Host(library, temporal=0)
    scan = picture(3)
    result = host.node(model=mean_of_window(1), source=Clip({2: scan, 3: scan, 4: scan})).render(3)
    assert result.frames_needed == (3, 3)
    np.testing.assert_allclose(result.pixels[..., :3], 1.04 * scan[..., :3], atol=1e-5)
    assert host.violations == []


# -- masks, mix, alpha


def test_a_mask_selects_as_in_apply(host, gain, picture, applied):
    model, scan = gain(0.5), picture(1, (130, 7))
    grey = picture(2, (130, 7), 1)
    grey[:, :40], grey[:, 40:80] = 0, 1
    drawn = np.concatenate([np.zeros((7, 130, 3), np.float32), grey], axis=2)
    coloured = np.concatenate([grey * np.float32([1, 0.5, 0.25]), np.ones_like(grey)], axis=2)
    for mask, written in ((grey, drawn), (drawn, drawn), (coloured, coloured)):
        node = host.node("General", model=model, source=Clip({1: scan}), mask=Clip({1: mask}))
        result = node.render(1)
        assert_same(result, applied(model, {1: scan}, mask=written)[1])
        np.testing.assert_array_equal(result.pixels[:, :40], scan[:, :40])


def test_unselected_pixels_keep_their_bits_and_selected_ones_are_the_models(host, gain, picture):
    scan = picture(1, (60, 8)) * np.float32(1000.7)
    mask = np.zeros((8, 60, 1), np.float32)
    mask[:, 20:40], mask[:, 40:] = 1, 2
    layout = Layout(premultiplied=True)
    node = host.node("General", model=gain(0.1), source=Clip({1: scan}), mask=Clip({1: mask}), layout=layout)
    result = node.render(1).pixels
    np.testing.assert_array_equal(result[:, :20], scan[:, :20])
    layout.premultiplied = False
    result = node.render(1).pixels
    np.testing.assert_array_equal(result[:, 20:, :3], scan[:, 20:, :3] * np.float32(0.1))
    node.values["mix"] = 0.5
    result = node.render(1).pixels
    np.testing.assert_allclose(result[:, 20:, :3], scan[:, 20:, :3] * np.float32(0.55), rtol=1e-6)


def test_masks_of_another_place_and_with_nan_select_what_they_can(host, gain, picture):
    scan = picture(1, (12, 6))
    mask = np.ones((3, 4, 1), np.float32)
    mask[0, 0] = np.nan
    node = host.node("General", model=gain(0.5), source=Clip({1: scan}), mask=Clip({1: mask}, origin=(10, 1)))
    result = node.render(1).pixels[..., :3]
    selected = np.zeros((6, 12, 1), bool)
    selected[2:5, 10:12] = True  # from the top: rows 1 to 3 of 6 from the bottom
    selected[2, 10] = False
    np.testing.assert_array_equal(result, np.where(selected, scan[..., :3] * np.float32(0.5), scan[..., :3]))


def test_a_mask_that_has_no_picture_selects_nothing(host, gain, picture):
    scan = picture(1)
    node = host.node(
        "General", model=gain(0.5), source=Clip({1: scan}), mask=Clip({9: np.ones((16, 24, 1), np.float32)})
    )
    np.testing.assert_array_equal(node.render(1).pixels, scan)


def test_mix_is_between_scan_and_result_and_may_be_animated(host, gain, picture):
    scan = picture(1)
    node = host.node(model=gain(0.5), source=Clip({1: scan, 2: scan}), mix=lambda time: 0.25 if time == 1 else 1.0)
    colour = scan[..., :3]
    np.testing.assert_array_equal(
        node.render(1).pixels[..., :3], colour + np.float32(0.25) * (colour * np.float32(0.5) - colour)
    )
    np.testing.assert_array_equal(node.render(2).pixels[..., :3], colour * np.float32(0.5))


def test_premultiplied_colours_are_divided_for_the_model_alone(host, save_model, picture):
    plus = model_of(
        [helper.make_node("Add", ["frames", "step"], ["restored"])],
        [constant("step", np.float32(0.25))],
        card=ModelCard(recipe="color", record={}),
    )
    scan = picture(1, (40, 5))
    scan[..., 3] = np.tile(np.float32([0, 0.5, 1, 0.25, -1, np.inf, 2, np.nan]), 5)
    node = host.node(model=save_model(plus), source=Clip({1: scan}), layout=Layout(premultiplied=True))
    result = node.render(1).pixels
    alpha = scan[..., 3:]
    share = np.where((alpha > 0) & np.isfinite(alpha), alpha, 1)
    np.testing.assert_allclose(result[..., :3], (scan[..., :3] / share + np.float32(0.25)) * share, rtol=1e-6)
    np.testing.assert_array_equal(result[..., 3], scan[..., 3])
    node.layout = Layout(premultiplied=False)
    np.testing.assert_array_equal(node.render(1).pixels[..., :3], scan[..., :3] + np.float32(0.25))


def test_bad_pixels_keep_their_bits_and_do_not_reach_the_model(host, save_model, picture, applied):
    model = save_model(encoder_decoder())
    scan = picture(1, (130, 20))
    scan[3, 100, 0], scan[4, 101, 1], scan[5, 2, 2] = np.nan, np.inf, -np.inf
    scan.view(np.uint32)[6, 7, 1] = 0x7FC12345  # a NaN with a message
    result = host.node(model=model, source=Clip({1: scan})).render(1)
    expected = applied(model, {1: scan})[1]
    bad = ~np.isfinite(scan[..., :3]).all(axis=2)
    np.testing.assert_array_equal(result.pixels.view(np.uint32)[bad], scan.view(np.uint32)[bad])
    np.testing.assert_allclose(result.pixels[~bad][:, :3], expected[~bad], atol=1e-5)


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_a_bad_pixel_of_any_frame_of_a_window_is_filled(host, mean_of_window, picture, applied, bad):
    model = mean_of_window(1)
    frames = {number: picture(number) for number in (1, 2, 3)}
    frames[bad][5, 6, 1] = np.nan
    assert_same(host.node(model=model, source=Clip(frames)).render(2), applied(model, frames)[2])


def test_pixels_that_the_model_has_no_number_for_keep_the_scan(host, save_model, picture):
    inverse = model_of(
        [helper.make_node("Reciprocal", ["frames"], ["restored"])], card=ModelCard(recipe="color", record={})
    )
    scan = picture(1) + np.float32(0.5)
    scan[2, 3, 1] = 0
    result = host.node(model=save_model(inverse), source=Clip({1: scan})).render(1).pixels
    np.testing.assert_array_equal(result[2, 3], scan[2, 3])
    np.testing.assert_allclose(result[0, :, :3], 1 / scan[0, :, :3], rtol=1e-6)


# -- what to show


def test_the_change_is_signed_in_float_and_around_grey_in_codes(host, gain, picture):
    scan, mask = picture(1), np.zeros((16, 24, 1), np.float32)
    mask[:8] = 1
    scan[1, 1, 0] = np.nan
    node = host.node("General", model=gain(0.5), source=Clip({1: scan}), mask=Clip({1: mask}), show=1)
    expected = -0.5 * scan[..., :3]
    expected[8:], expected[1, 1] = 0, 0
    np.testing.assert_array_equal(node.render(1).pixels[..., :3], expected)
    codes = picture(1, dtype=np.uint8)
    shown = host.node(model=gain(0.5), source=Clip({1: codes}), show=1).render(1).pixels
    np.testing.assert_array_equal(shown[..., :3], np.rint(255 * (0.5 - 0.25 * (codes[..., :3] / np.float32(255)))))


def test_coverage_is_grey_and_white_where_a_model_has_none(host, gain, picture):
    scan = picture(1)
    node = host.node(model=gain(coverage=True), source=Clip({1: scan}), show=2)
    np.testing.assert_allclose(node.render(1).pixels[..., :3], np.repeat(0.25 * scan[..., :1], 3, axis=2), atol=1e-6)
    node = host.node(model=gain(name="none.onnx"), source=Clip({1: scan}), show=2)
    np.testing.assert_array_equal(node.render(1).pixels[..., :3], np.ones((16, 24, 3)))


@pytest.mark.parametrize("settings", [{"show": 3}, {"mix": 0}, {"model": ""}, {"model": "", "show": 1}])
def test_the_scan_is_passed_on_and_comes_out_untouched_if_rendered(host, gain, picture, settings):
    scan = picture(1)
    scan[0, 0] = np.nan
    node = host.node(**({"model": gain(0.5), "source": Clip({1: scan})} | settings))
    assert node.render(1).identity == "Source"
    rendered = node.render(1, force=True)
    np.testing.assert_array_equal(rendered.pixels.view(np.uint32), scan.view(np.uint32))


def test_no_change_is_no_reason_to_show_the_scan(host, gain, picture):
    node = host.node(model=gain(0.5), source=Clip({1: picture(1)}), mix=0, show=1)
    np.testing.assert_array_equal(node.render(1).pixels[..., :3], np.zeros((16, 24, 3)))


# -- memory layouts and windows


@pytest.mark.parametrize("from_top", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.uint8])
def test_rows_may_be_padded_and_run_either_way(host, gain, picture, from_top, dtype):
    scan = picture(1, (101, 6), 4, dtype)
    expected = host.node(model=gain(0.5), source=Clip({1: scan})).render(1).pixels
    node = host.node(
        model=gain(0.5),
        source=Clip({1: scan}, origin=(-30, 12)),
        layout=Layout(padding=12, from_top=from_top),
        output_layout=Layout(padding=28, from_top=not from_top),
    )
    np.testing.assert_array_equal(node.render(1).pixels, expected)


def test_the_output_may_be_another_part_of_the_plane(host, gain, picture):
    scan = picture(1, (20, 10))
    node = host.node(model=gain(0.5), source=Clip({1: scan}, origin=(4, 3)), output_bounds=(0, 5, 30, 15))
    result = node.render(1).pixels
    expected = np.zeros((10, 30, 4), np.float32)  # outside the source: transparent black
    expected[2:10, 4:24] = scan[:8]
    expected[..., :3] *= np.float32(0.5)
    np.testing.assert_array_equal(result, expected)
    part = node.render(1, window=(6, 6, 9, 8)).pixels  # what is outside the window must stay, which the host checks
    np.testing.assert_array_equal(part[7:9, 6:9], expected[7:9, 6:9])
    outside = node.render(1, window=(26, 5, 30, 9)).pixels
    np.testing.assert_array_equal(outside[6:10, 26:30], np.zeros((4, 4, 4)))


def test_the_model_sees_the_region_of_definition_of_images_that_are_larger(host, save_model, picture):
    model = save_model(encoder_decoder())
    scan = picture(1, (40, 30))
    whole = host.node(model=model, source=Clip({1: scan[5:25, 8:32]})).render(1).pixels
    node = host.node(model=model, source=Clip({1: scan}, rod=(8, 5, 32, 25)))
    result = node.render(1).pixels
    np.testing.assert_allclose(result[5:25, 8:32], whole, atol=1e-6)
    assert not result[:5].any() and not result[25:].any() and not result[:, :8].any() and not result[:, 32:].any()


@pytest.mark.parametrize("scale", [0.5, 1 / 3])
def test_proxies_are_rendered_as_they_are(host, save_model, picture, scale):
    model = save_model(encoder_decoder())
    scan = picture(1, (41, 23))
    whole = host.node(model=model, source=Clip({1: scan})).render(1).pixels
    clip = Clip({1: scan}, origin=(7, -3), aspect=2.0)
    node = host.node(model=model, source=clip, scale=(scale, scale))
    np.testing.assert_allclose(node.render(1).pixels, whole, atol=1e-6)


# -- time, curves, models that change


@pytest.mark.parametrize("radius", [0, 1])
def test_exposure_curves_go_by_the_frames_number(host, mean_of_window, picture, applied, tmp_path, radius):
    model = mean_of_window(radius)
    frames = {number: picture(number) for number in (101, 102, 103)}
    measured = Curves("display", {number: ((0.02 * (number - 100), 0.1),) * 3 for number in frames})
    curves = tmp_path / "curves.json"
    curves.write_text(measured.dumps())
    expected = applied(model, frames, curves=curves)
    clip = Clip({number - 100: pixels for number, pixels in frames.items()})
    node = host.node(model=model, source=clip, curves=str(curves), frameOffset=100)
    for number in frames:
        assert_same(node.render(number - 100), expected[number])
    assert np.abs(expected[102] - applied(model, frames)[102]).max() > 0.01


def test_the_same_file_brings_frames_to_rest(host, gain, picture, applied, tmp_path):
    model = gain(1.0, name="model.onnx")
    frames = {number: picture(number) for number in (101, 102)}
    height, width = frames[101].shape[:2]
    places = {101: Transform(1.3, -0.7, 0.2), 102: Transform(2.0, 1.0)}
    measured = Curves(
        "display", dict.fromkeys(places, ((0.02, 0.1),) * 3), transforms=Transforms((width, height), places)
    )
    curves = tmp_path / "curves.json"
    curves.write_text(measured.dumps())
    expected = applied(model, frames, curves=curves)
    clip = Clip({number - 100: pixels for number, pixels in frames.items()})
    node = host.node(model=model, source=clip, curves=str(curves), frameOffset=100)
    for number in frames:
        assert_same(node.render(number - 100), expected[number])
        assert np.abs(expected[number][..., :3] - frames[number][..., :3]).max() > 0.05


def test_a_model_that_was_retrained_is_used_by_the_next_frame(host, gain, mean_of_window, picture):
    frames = {number: picture(number) for number in (1, 2, 3)}
    node = host.node(model=gain(0.5, name="model.onnx"), source=Clip(frames))
    np.testing.assert_array_equal(node.render(2).pixels[..., :3], frames[2][..., :3] * np.float32(0.5))
    gain(0.25, name="model.onnx")
    np.testing.assert_array_equal(node.render(2).pixels[..., :3], frames[2][..., :3] * np.float32(0.25))
    mean_of_window(1, name="model.onnx")
    result = node.render(2)
    expected = sum(share * frames[n][..., :3] for share, n in ((0.01, 1), (1.0, 2), (0.03, 3)))
    assert result.frames_needed == (1, 3)
    np.testing.assert_allclose(result.pixels[..., :3], expected, atol=1e-5)


def test_several_nodes_render_at_once(host, gain, mean_of_window, picture):
    frames = {number: picture(number, (97, 31)) for number in range(1, 9)}
    halves = host.node(model=gain(0.5), source=Clip(frames))
    windows = host.node(model=mean_of_window(1), source=Clip(frames))

    def check(number):
        np.testing.assert_array_equal(halves.render(number).pixels[..., :3], frames[number][..., :3] * np.float32(0.5))
        around = [frames[max(1, number - 1)], frames[number], frames[min(8, number + 1)]]
        expected = sum(share * pixels[..., :3] for share, pixels in zip((0.01, 1.0, 0.03), around, strict=True))
        np.testing.assert_allclose(windows.render(number).pixels[..., :3], expected, atol=1e-5)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(check, [*frames, *frames]))
    assert halves.messages == windows.messages == []


def test_many_frames_leave_no_files_open(host, gain, picture):
    node = host.node(model=gain(0.5), source=Clip({1: picture(1)}))
    node.render(1)
    before = os.listdir("/proc/self/fd")
    for size in ((24, 16), (200, 100), (1, 1), (400, 200)):
        node.source = Clip({1: picture(1, size)})
        assert node.render(1).status == OK
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize(
    ("processors", "lends", "bands"),
    [(0, True, []), (1, True, []), (3, True, [3, 3]), (64, True, [8, 8]), (3, False, [])],
)
@pytest.mark.parametrize("size", [(1, 1), (7, 2), (40, 30)])
def test_rows_are_shared_among_the_threads_that_a_host_lends(
    library, places, save_model, picture, size, processors, lends, bands
):
    frame = picture(3, size)
    frame[0, 0, 1] = np.nan
    results = []
    for count in (0, processors):
        host = Host(library, processors=count)
        host.lends_threads = lends
        node = host.node(model=save_model(encoder_decoder()), source=Clip({1: frame}))
        results.append(node.render(1).pixels)
        assert host.bands == (bands if count else [])
        node.destroy()
        host.unload()
        assert host.violations == []
    assert np.array_equal(*results, equal_nan=True)
