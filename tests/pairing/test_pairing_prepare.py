"""Which pairs are accepted, and the words in which others are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.files import sha256
from wetgate.images import open_source, write_image
from wetgate.pairing.prepare import Pictures, examine, prepare, without_logos
from wetgate.pairing.residual import Residual
from wetgate.project import create_restoration
from wetgate.simulate.footage import demo_footage


def picture(seed, height=200, width=260, detail=2.0):
    """Most of it in light and dark, as in real pictures."""
    random = np.random.default_rng(seed).random
    texture = (0.8 * random((height, width, 1)) + 0.2 * random((height, width, 3))).astype(np.float32)
    soft = cv2.GaussianBlur(texture, (0, 0), detail)
    return np.clip(0.5 + (soft - 0.5) * 3, 0, 1)


def faded(reference):
    return (0.2 + 0.5 * reference @ np.array([[0.8, 0.1, 0.1]] * 3, np.float32)).astype(np.float32)


def finding(scan, reference, weight=None):
    return examine(Pictures(scan, reference, weight))


def test_the_same_picture_faded_is_accepted():
    found = finding(faded(picture(1)), picture(1))
    assert found.reason == ""
    assert found.residual_px == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, -3), (2, 2), (8, 0)])
def test_a_reference_that_lies_off_is_laid_over(dx, dy):
    whole = picture(1, 240, 300)
    scan, reference = whole[20:220, 20:280], whole[20 + dy : 220 + dy, 20 + dx : 280 + dx]
    found = finding(faded(scan), reference)
    assert found.reason == ""
    if found.before_px is not None:
        assert found.before_px == pytest.approx(np.hypot(dx, dy), rel=0.5)
    assert found.residual_px < 0.2
    place = found.alignment.transform @ [100, 80, 1]
    assert place[:2] / place[2] == pytest.approx((100 - dx, 80 - dy), abs=0.1)


def test_what_lies_close_stays_as_it_was_collected():
    whole = picture(1, 240, 300)
    found = finding(faded(whole[20:220, 20:280]), whole[20:220, 20:280])
    assert found.alignment is None
    assert found.residual_px == found.before_px < 0.1


@pytest.mark.parametrize(
    ("scan", "reference", "weight", "words"),
    [
        (picture(1), picture(2, 100, 130), None, ["do not show the same picture"]),
        (picture(1)[:20, :20], picture(1)[:19, :20], None, ["20x20", "at least 32"]),
        (np.where(np.arange(260)[:, None] == 3, np.nan, picture(1)), picture(1), None, ["scan", "600 values", "NaN"]),
        (
            picture(1),
            np.where(np.arange(260)[:, None] == 7, np.inf, picture(1)),
            None,
            ["reference", "not numbers", "infinity"],
        ),
        (picture(1) * 1e12, picture(1), None, ["scan", "values above 1e+06, as no picture does"]),
        (picture(1), picture(1) - 1e30, None, ["reference", "156000 values above"]),
        (np.full((200, 260, 3), 0.3), picture(1), None, ["scan is blank"]),
        (picture(1), np.zeros((200, 260, 3)), None, ["reference is blank"]),
        (picture(1), picture(2), None, ["do not show the same picture"]),
        (picture(1), picture(1), np.zeros((200, 260)), ["mask leaves nothing"]),
    ],
)
def test_what_is_rejected_is_told_why(scan, reference, weight, words):
    found = finding(scan.astype(np.float32), reference.astype(np.float32), weight)
    assert all(word in found.reason for word in words), found.reason
    assert found.residual_px is None


def test_two_blank_frames_are_a_pair():
    """Black leader, black in the reference: it says what black is."""
    black = np.zeros((200, 260, 3), np.float32)
    assert finding(black + 0.1, black).reason == ""


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (15, 300)])
def test_what_is_too_small_to_judge_is_accepted(size):
    found = finding(np.full((*size, 3), 0.4, np.float32), np.full((*size, 3), 0.6, np.float32))
    assert (found.reason, found.residual_px) == ("", None)


@pytest.fixture
def restoration(tmp_path):
    return create_restoration(tmp_path / "reel.wetgate", "color")


def add(restoration, frame, scan, reference, mask=None, depth="half"):
    with restoration.add_pair(frame) as draft:
        write_image(draft.scan, scan, bit_depth=depth)
        write_image(draft.reference, reference)
        if mask is not None:
            write_image(draft.mask, mask)


def test_findings_are_kept_with_the_pairs_and_not_made_again(restoration):
    add(restoration, 1, faded(picture(1)), picture(1))
    add(restoration, 2, faded(picture(2)), picture(3))
    followed = []
    accepted = prepare(restoration, lambda pair: followed.append((pair.frame, pair.state)))
    assert followed == [(1, "accepted"), (2, "rejected")]
    assert [pair.frame for pair, _ in accepted] == [1]
    np.testing.assert_allclose(accepted[0][1].reference, picture(1), atol=1e-3)
    first, second = restoration.pairs()
    assert first.prepared == first.reference
    assert first.residual_px == pytest.approx(0, abs=0.1)
    assert "same picture" in second.reason
    before = [sha256(pair.folder / "pair.json") for pair in (first, second)]
    prepare(restoration)
    assert [sha256(pair.folder / "pair.json") for pair in (first, second)] == before


def test_a_reference_of_another_size_and_crop_is_laid_over(restoration):
    whole = picture(4, 400, 520)
    scan = faded(whole)
    reference = cv2.resize(whole[20:380, 30:500], (235, 180), interpolation=cv2.INTER_AREA)
    add(restoration, 1, scan, reference)
    ((pair, pictures),) = prepare(restoration)
    assert pair.prepared.name == "prepared.exr"
    assert pictures.reference.shape == scan.shape
    inside = np.s_[40:360, 50:480]
    assert np.abs(pictures.reference[inside] - cv2.GaussianBlur(whole, (0, 0), 1.0)[inside]).mean() < 0.02
    assert pictures.weight[inside].mean() > 0.95
    assert pictures.weight[5, 5] == pictures.weight[395, 515] == 0
    assert pair.transform["kind"] == "affine"
    assert pair.residual_px < 0.25
    ((_, again),) = prepare(restoration)
    np.testing.assert_allclose(again.reference, pictures.reference, atol=1e-3)
    np.testing.assert_array_equal(again.weight, pictures.weight)


def test_masks_weigh(restoration):
    mask = np.zeros((200, 260, 3), np.float32)
    mask[:100] = 0.5
    add(restoration, 1, faded(picture(1)), picture(1), mask)
    add(restoration, 2, faded(picture(2)), picture(2))
    (_, first), (_, second) = prepare(restoration)
    assert first.weight[:90].mean() == pytest.approx(0.5, abs=0.02)
    assert first.weight[100:].max() == 0
    assert second.weight.mean() > 0.97


def test_a_subtitle_does_not_count_and_is_said(restoration):
    reference = picture(6, 240, 320)
    video = (reference * 255).round().astype(np.uint8)
    for colour, thickness in (((0, 0, 0), 6), ((255, 255, 255), 2)):
        cv2.putText(video, "NEVER MIND THE COLOUR", (40, 215), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, thickness)
    with_text = video.astype(np.float32) / 255
    add(restoration, 1, faded(reference), with_text)
    ((pair, pictures),) = prepare(restoration)
    written = np.abs(with_text - reference).max(2) > 0.1
    assert (pictures.weight[written] < 0.2).mean() > 0.95
    assert pictures.weight[:150].mean() > 0.95
    assert "subtitle" in pair.reason


def test_a_picture_cut_off_after_it_was_accepted_is_an_error_and_before_it_is_a_reason(restoration):
    add(restoration, 1, faded(picture(1)), picture(1))
    add(restoration, 2, faded(picture(2)), picture(2))
    prepare(restoration)
    add(restoration, 3, faded(picture(3)), picture(3))
    broken, late = (restoration.pairs()[index].reference for index in (1, 2))
    whole = late.read_bytes()
    late.write_bytes(whole[: len(whole) // 2])
    assert len(prepare(restoration)) == 2
    assert restoration.pairs()[2].state == "rejected"
    assert str(late) in restoration.pairs()[2].reason
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WetgateError, match=r"0002.*reference\.exr"):
        prepare(restoration)


def test_no_pairs_and_no_usable_pair_are_sentences(restoration):
    with pytest.raises(WetgateError, match="holds no pairs: add some"):
        prepare(restoration)
    add(restoration, 1, picture(1), picture(2))
    with pytest.raises(WetgateError, match=r"No pair of .* can be used \(pair 1: scan and reference do not show"):
        prepare(restoration)


def test_footage_without_a_reference_wants_no_preparing(tmp_path):
    restoration = create_restoration(tmp_path / "reel.wetgate", "steady")
    restoration.add_footage("scan.####.dpx", "1-9")
    with pytest.raises(WetgateError, match="nothing to prepare"):
        prepare(restoration)


def test_what_a_killed_process_left_is_swept(restoration, tmp_path):
    import socket

    add(restoration, 1, faded(picture(1)), picture(1))
    left = restoration.pairs()[0].folder / f".pair.wetgate-{socket.gethostname()}-99999999-0.json"
    left.write_text("{}")
    prepare(restoration)
    assert not left.exists()


def test_a_logo_of_the_references_does_not_count_and_a_still_foreground_does(restoration):
    for number in (1, 2, 3, 4):
        reference = picture(10 + number, 240, 320)
        reference[150:, :80] = picture(5, 240, 320)[150:, :80]
        scan = faded(reference)
        reference[20:50, 250:300] = 0.5 * reference[20:50, 250:300] + 0.5
        add(restoration, number, scan, reference)
    pairs = prepare(restoration)
    counted = without_logos(pairs, "display")
    for (_, before), (_, after) in zip(pairs, counted, strict=True):
        assert after.weight[24:46, 254:296].mean() < 0.1
        outside = np.ones((240, 320), bool)
        outside[10:60, 240:310] = False
        assert after.weight[outside].mean() > 0.98 * before.weight[outside].mean()
        assert after.weight[160:, 8:72].mean() > 0.97 * before.weight[160:, 8:72].mean()


def test_of_an_interlaced_reference_one_field_is_taken_and_it_is_said(restoration):
    whole = picture(8, 240, 340)
    now, later = whole[:, :320], whole[:, 6:326]
    woven = now.copy()
    woven[1::2] = later[1::2]
    add(restoration, 1, faded(now), woven)
    ((pair, pictures),) = prepare(restoration)
    assert pair.prepared.name == "prepared.exr"
    assert "interlaced" in pair.reason
    assert np.abs(pictures.reference - now).mean() < 0.2 * np.abs(woven - now).mean()


def test_how_soft_a_reference_is_goes_with_the_pair(restoration):
    with open_source(demo_footage()) as footage:
        whole = footage.read(230).pixels
    for frame, sigma in ((1, 0.3), (2, 2.5)):
        add(restoration, frame, np.float32(0.2 + 0.6 * whole), cv2.GaussianBlur(whole, (0, 0), sigma))
    (sharp, first), (soft, second) = prepare(restoration)
    assert sharp.resolution_px < 1
    assert soft.resolution_px == pytest.approx(2.5, rel=0.25)
    assert [first.resolution_px, second.resolution_px] == [sharp.resolution_px, soft.resolution_px]
    assert [two[1].resolution_px for two in prepare(restoration)] == [first.resolution_px, second.resolution_px]


def test_a_pair_of_two_sizes_that_was_accepted_by_hand_is_a_sentence(restoration):
    with restoration.add_pair(1) as draft:
        write_image(draft.scan, faded(picture(1)))
        write_image(draft.reference, picture(1)[:100, :130])
    draft.pair.update(state="accepted", prepared="reference.exr")
    with pytest.raises(WetgateError, match=r"its reference is 130 x 100 and its scan 260 x 200"):
        prepare(restoration)


def test_what_is_nearly_blank_ends_no_preparation():
    bump = np.full((200, 260, 3), 0.5, np.float32)
    bump[90:110, 120:140] += 0.0004
    found = finding(bump, bump.copy())
    assert found.residual_px is None or found.residual_px < 0.1 or found.reason


def test_what_cannot_be_measured_in_the_end_ends_no_preparation(restoration, monkeypatch):
    nothing = Residual(np.inf, np.inf)
    monkeypatch.setattr("wetgate.pairing.align.estimate_residual", lambda *asked: nothing)
    whole = picture(1, 240, 300)
    add(restoration, 1001, faded(whole[20:220, 20:280]), whole[24:224, 20:280])
    add(restoration, 1002, faded(whole[20:220, 20:280]), picture(2))
    pairs = prepare(restoration)
    assert [(pair.frame, pair.residual_px) for pair, _ in pairs] == [(1001, None)]
    assert finding(whole, whole).before_px is None
    assert "do not show the same picture" in restoration.pairs({"rejected"})[0].reason


def test_code_values_that_nobody_has_divided_end_no_preparation(restoration):
    add(restoration, 1001, faded(picture(1)) * np.float32(65535), picture(1), depth="float")
    assert [pair.frame for pair, _ in prepare(restoration)] == [1001]
