"""What the pictures of pairs show, and that odd pictures and numbers do not stop them."""

from __future__ import annotations

import struct
from dataclasses import replace

import cv2
import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.files import sha256
from wetgate.images import read_image
from wetgate.pairing.proofs import Tile, blink, contact_sheet, overlay

CAPTION = "Pair 0001, frame 1001\nResidual 3.00 → 0.00 px, accepted"


def texture(height=150, width=200, seed=1):
    noise = np.random.default_rng(seed).random((height, width, 1)).astype(np.float32)
    soft = 0.5 + (cv2.GaussianBlur(noise, (0, 0), 3) - 0.5) * 4
    return np.clip(soft[..., None] * np.array([1, 0.9, 0.7], np.float32), 0, 1)


def faded(reference):
    return (0.3 + 0.4 * reference @ np.array([[0.8, 0.3, 0.2]] * 3, np.float32)).astype(np.float32)


def shifted(pixels, by=3):
    return np.roll(pixels, by, axis=1)


def tile(state="accepted", residual=0.12, reason="", weight=None):
    return Tile("0001, frame 1001", state, residual, reason, faded(texture()), texture(), weight)


def sheet(path, tiles):
    contact_sheet(path, tiles)
    return read_image(path).pixels


def colourfulness(pixels):
    return float((pixels.max(axis=2) - pixels.min(axis=2)).mean())


def page(path, *arguments):
    overlay(path, *arguments)
    return read_image(path).pixels


def parts(pixels):
    """The nine pictures of a page by row and column, about: the middle of each ninth."""
    height, width = pixels.shape[:2]
    rows = [slice(int(height * (row + 0.35) / 3), int(height * (row + 0.8) / 3)) for row in range(3)]
    columns = [slice(width * column // 3 + 40, width * (column + 1) // 3 - 40) for column in range(3)]
    return [[pixels[row, column] for column in columns] for row in rows]


def amber(pixels):
    """How many pixels of the last picture of a page are of the hatch's colour."""
    return np.count_nonzero(parts(pixels)[2][2][..., 2] < 0.3)


def test_a_shift_shows_before_and_is_gone_after(tmp_path):
    reference = texture()
    shown = parts(page(tmp_path / "a.png", faded(reference), shifted(reference), reference, None, CAPTION))
    (_, fringes_before, difference_before), (_, fringes_after, difference_after), details = shown
    assert colourfulness(fringes_before) > 5 * colourfulness(fringes_after)
    assert colourfulness(details[0]) > 5 * colourfulness(details[1])
    assert difference_before.std() > 5 * difference_after.std()
    assert difference_after.mean() == pytest.approx(0.5, abs=0.02)


def test_a_third_of_a_pixel_shows_in_the_detail(tmp_path):
    reference = texture()
    moved = cv2.warpAffine(
        reference,
        np.array([[1, 0, 1 / 3], [0, 1, 0]]),
        (200, 150),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    details = parts(page(tmp_path / "a.png", faded(reference), moved, reference, None, CAPTION))[2]
    assert colourfulness(details[0]) > 2 * colourfulness(details[1])


def test_the_detail_is_taken_where_it_was_worst(tmp_path):
    reference = texture(400, 600)
    before = reference.copy()
    before[250:350, 400:500] = shifted(reference)[250:350, 400:500]
    details = parts(page(tmp_path / "a.png", faded(reference), before, reference, None, CAPTION))[2]
    assert colourfulness(details[0]) > 5 * colourfulness(details[1])


def test_a_negative_is_compared_as_a_positive(tmp_path):
    reference = texture()
    as_positive = page(tmp_path / "a.png", faded(reference), reference, reference, None, CAPTION)
    as_negative = page(tmp_path / "b.png", faded(reference), 1 - reference, 1 - reference, None, CAPTION)
    for row in (0, 1):
        fringes = [parts(pixels)[row][1] for pixels in (as_positive, as_negative)]
        assert colourfulness(fringes[1]) < colourfulness(fringes[0]) + 0.03


def test_a_shift_by_half_a_period_is_no_negative(tmp_path):
    stripes = np.repeat(0.5 + 0.3 * np.sin(np.arange(200) * np.pi / 6), 150).reshape(200, 150).T
    reference = np.repeat(stripes[..., None], 3, axis=2).astype(np.float32)
    shown = parts(page(tmp_path / "a.png", reference, shifted(reference, 6), reference, None, CAPTION))
    assert colourfulness(shown[0][1]) > 0.2
    assert colourfulness(shown[1][1]) < 0.02


def test_what_does_not_count_is_hatched(tmp_path):
    reference = texture()
    scan = np.full_like(reference, 0.5)
    weight = np.ones(scan.shape[:2], np.float32)
    weight[60:90, 80:120] = 0
    path = tmp_path / "a.png"
    assert amber(page(path, scan, reference, reference, None, "")) == 0
    by_weight = amber(page(path, scan, reference, reference, weight, ""))
    scan[60:90, 80:120] = np.nan
    assert amber(page(path, scan, reference, reference, None, "")) == by_weight > 500


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (700, 300), (300, 1700)])
def test_pages_of_any_picture_are_bounded(tmp_path, shape):
    scan = texture(*shape)
    weight = np.full(shape, 0.5, np.float32)
    path = tmp_path / "a.png"
    words = f"{'A long title ' * 40}\n{'and a long text ' * 200}"
    height, width = page(path, scan, scan, scan, weight, words).shape[:2]
    assert width <= 1600
    assert height <= 1900
    blink(path, scan, scan, scan, words)
    assert read_image(path).pixels.shape[1] <= 1600
    assert sheet(path, [replace(tile(), scan=scan, reference=scan, weight=weight)]).shape[1] == 1600


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.filterwarnings("error")
def test_bad_numbers_spoil_nothing(tmp_path, everywhere):
    scan = faded(texture())
    weight = np.ones(scan.shape[:2], np.float32)
    spoilt = scan.copy()
    for number, bad in enumerate([np.nan, np.inf, -np.inf, 3e38, -3e38]):
        place = slice(None) if everywhere else slice(20 + 20 * number, 30 + 20 * number)
        spoilt[place, number::5] = weight[place, number::5] = bad
    path = tmp_path / "a.png"
    for pictures in [(spoilt, scan, spoilt), (scan, spoilt, scan)]:
        assert page(path, *pictures, weight, "").std() > 0.02
    blink(path, spoilt, scan, spoilt, "")
    for residual in (np.nan, np.inf):
        contact_sheet(path, [Tile("", "accepted", residual, "", spoilt, spoilt, weight)])


def test_the_same_pairs_give_the_same_bytes(tmp_path):
    reference = texture()
    digests = []
    for name in ("a", "b"):
        paths = [tmp_path / f"{name}{kind}.png" for kind in ("overlay", "blink", "sheet")]
        overlay(paths[0], faded(reference), shifted(reference), reference, None, CAPTION)
        blink(paths[1], faded(reference), shifted(reference), reference, CAPTION)
        contact_sheet(paths[2], [tile()])
        digests.append([sha256(path) for path in paths])
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 3


def test_a_blink_has_two_pictures_for_ever(tmp_path):
    reference = texture()
    blink(tmp_path / "a.png", faded(reference), shifted(reference), reference, CAPTION)
    data = (tmp_path / "a.png").read_bytes()
    place = data.index(b"acTL")
    assert struct.unpack(">II", data[place + 4 : place + 12]) == (2, 0)
    read, animation = cv2.imreadanimation(str(tmp_path / "a.png"))
    assert read
    scan, laid = (frame[..., :3].astype(np.float32) for frame in animation.frames)
    change = np.abs(scan - laid)[150:]
    middle = change.shape[1] // 2
    assert change[:, :middle].mean() > 3 * change[:, middle:].mean()


def test_states_and_residuals_tell_tiles_apart(tmp_path):
    kinds = [tile(), tile("rejected"), tile("collected"), tile(residual=1.5), tile(reason="a splice")]
    shown = [sheet(tmp_path / "a.png", [kind]) for kind in kinds]
    for one in range(len(shown)):
        for other in range(one):
            same = shown[one].shape == shown[other].shape and np.array_equal(shown[one], shown[other])
            assert not same
    below = slice(110, None)
    accepted, rejected = (pixels[below, 30:700].reshape(-1, 3) for pixels in shown[:2])
    assert accepted.max() > rejected[: len(accepted) // 2].max()


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_a_sheet_holds_every_pair(tmp_path, count):
    tiles = [tile("rejected" if k % 3 else "accepted", None, "for a reason " * k).shrunk() for k in range(count)]
    height = sheet(tmp_path / "a.png", tiles).shape[0]
    assert height <= 150 + 450 * (count + 1)
    if count:
        assert sheet(tmp_path / "b.png", tiles[:-1]).shape[0] <= height or count <= 13


def test_a_shrunk_tile_shows_the_same(tmp_path):
    large = replace(tile(), scan=texture(700, 1000), reference=texture(700, 1000, 2))
    large.scan[100:200, 300:500] = np.nan
    small = large.shrunk()
    assert max(small.scan.shape) <= 400
    shown = [sheet(tmp_path / "a.png", [kind]) for kind in (large, small)]
    assert np.abs(shown[0] - shown[1]).mean() < 0.01


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(WetgateError, match="cannot be written"):
        contact_sheet(tmp_path / "none" / "a.png", [tile()])
    assert list(tmp_path.iterdir()) == []
