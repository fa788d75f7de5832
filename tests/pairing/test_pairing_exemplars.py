"""References from pictures of other scenes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.images import write_image
from wetgate.pairing.exemplars import LINKED, Exemplar, Exemplars, add, read
from wetgate.pairing.links import Link
from wetgate.pairing.palettes import Palette, Support, display_of_lab, lab_of, recoloured
from wetgate.project import create_restoration, open_restoration

HEIGHT, WIDTH = 96, 160


def two_textures(swapped=False, seed=0):
    """A black-and-white frame: stripes beside a cloud; both of the same mean."""
    random = np.random.default_rng(seed)
    stripes = 0.5 + 0.25 * np.sign(np.sin(np.arange(WIDTH // 2) * 2 * np.pi / 8))[None].repeat(HEIGHT, 0)
    cloud = 0.5 + 2.0 * cv2.GaussianBlur(random.standard_normal((HEIGHT, WIDTH // 2)), (0, 0), 6)
    halves = [cloud, stripes] if swapped else [stripes, cloud]
    grey = np.clip(np.hstack(halves), 0.05, 0.95).astype(np.float32)
    return np.repeat(grey[..., None], 3, axis=2)


def shaded(colour, seed=0, size=(HEIGHT, WIDTH)):
    """A picture of one hue in many tones."""
    random = np.random.default_rng(seed)
    tone = cv2.GaussianBlur(random.standard_normal(size), (0, 0), 4)
    tone = 0.2 + 1.0 * (tone - tone.min()) / np.ptp(tone)
    return np.clip(tone[..., None] * np.array(colour), 0, 1).astype(np.float32)


RED, BLUE, GREEN = (0.7, 0.3, 0.25), (0.2, 0.3, 0.7), (0.25, 0.6, 0.3)


def hue(display):
    lab = lab_of(display).reshape(-1, 3).mean(0)
    return np.degrees(np.arctan2(lab[2], lab[1]))


def chroma(lab):
    return np.hypot(lab[..., 1], lab[..., 2])


def test_a_linked_place_gets_the_palette_of_its_counterpart_in_other_frames_too():
    picture = np.hstack([shaded(RED), shaded(BLUE)])
    links = (Link((8, 8, 60, 80), (10, 10, 120, 70), 1), Link((92, 8, 60, 80), (190, 10, 120, 70), 1))
    frames = {1: two_textures(), 2: two_textures(seed=5)}
    pictures = Exemplars([Exemplar(picture, "two.png", links=links)], frames.__getitem__)
    for frame in frames.values():
        made = pictures.construct(frame)
        left, right = made.reference[10:-10, 10:70], made.reference[10:-10, 90:150]
        assert abs(hue(left) - hue(shaded(RED))) < 15
        assert abs(hue(right) - hue(shaded(BLUE))) < 15
        assert made.confidence.max() <= LINKED + 1e-6
        assert made.confidence[10:-10, 10:70].mean() > 0.5 * LINKED


def test_lightness_is_that_of_what_was_known_before():
    scan = two_textures()
    warm = np.clip(scan * np.array([1.1, 1.0, 0.8], np.float32), 0, 1)
    for prior in (None, warm):
        made = Exemplars([Exemplar(shaded(GREEN), "green.png")], lambda frame: scan).construct(scan, prior)
        wanted = lab_of(scan if prior is None else prior)[..., 0]
        assert np.abs(lab_of(made.reference)[..., 0] - wanted).max() < 0.5


def test_hues_and_saturations_stay_within_what_the_pictures_hold():
    scan = two_textures()
    picture = Exemplar(shaded(BLUE), "blue.png", links=(Link((8, 8, 60, 80), (10, 10, 120, 70), 1),))
    pictures = Exemplars([picture], lambda frame: scan)
    lab = lab_of(pictures.construct(scan).reference)
    assert (chroma(lab) <= pictures.support.most(lab) + 0.5).all()
    strong = lab[chroma(lab) > 12]
    angles = np.degrees(np.arctan2(strong[:, 2], strong[:, 1]))
    assert len(strong) > 1000
    assert np.abs((angles - hue(picture.pixels) + 180) % 360 - 180).max() < 30


def test_a_colour_that_no_picture_has_is_held_back_unless_the_film_has_it():
    support = Support.of([lab_of(shaded(BLUE)).reshape(-1, 3)])
    red = np.tile(np.float32([50, 45, 30]), (4, 4, 1))
    grey = red * np.float32([1, 0, 0])
    assert chroma(support.bounded(red, grey)).max() < 6
    np.testing.assert_allclose(support.bounded(red, red), red, atol=1e-3)


def test_heavier_pictures_count_more():
    scan = two_textures()
    flat = [shaded(RED, seed=3), shaded(BLUE, seed=3)]

    def warmth(weights):
        pictures = [Exemplar(p, f"{i}.png", weight=w) for i, (p, w) in enumerate(zip(flat, weights, strict=True))]
        return lab_of(Exemplars(pictures, lambda frame: scan).construct(scan).reference)[..., 2].mean()

    assert warmth((9, 1)) > warmth((1, 1)) > warmth((1, 9))


def test_what_is_like_nothing_in_the_pictures_is_not_believed():
    scan = two_textures()
    cloud = two_textures(seed=7)[:, WIDTH // 2 :] * np.array(GREEN, np.float32) / 0.6
    made = Exemplars([Exemplar(cloud, "cloud.png")], lambda frame: scan).construct(scan)
    stripes, clouds = made.confidence[10:-10, 10:70].mean(), made.confidence[10:-10, 90:150].mean()
    assert clouds > 2 * stripes
    assert "looks like nothing" in made.notes[0]


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (97, 33)])
def test_frames_of_any_size_are_taken(shape):
    scan = np.random.default_rng(1).uniform(0, 1, (*shape, 3)).astype(np.float32)
    made = Exemplars([Exemplar(shaded(RED), "red.png")], lambda frame: scan).construct(scan)
    assert made.reference.shape == scan.shape and np.isfinite(made.reference).all()
    assert made.confidence.shape == shape


def test_palettes_are_carried_over_tone_for_tone():
    grey, red = lab_of(two_textures()).reshape(-1, 3), lab_of(shaded(RED)).reshape(-1, 3)
    seen, wanted = Palette.of(grey), Palette.of(red)
    tones = np.float32([[low, 0, 0] for low in (seen.lightness[0], seen.lightness[-1])])
    np.testing.assert_allclose(recoloured(tones, seen, wanted), wanted.colour[[0, -1]], atol=1)


def test_a_colour_beyond_all_displays_loses_chroma_and_no_lightness():
    colours = np.random.default_rng(2).uniform(0, 1, (200, 3)).astype(np.float32)
    np.testing.assert_allclose(display_of_lab(lab_of(colours)), colours, atol=2e-3)
    shown = display_of_lab(np.float32([[60, 120, -90]]))
    assert shown.min() > -0.02 and shown.max() < 1.02
    assert abs(lab_of(shown)[0, 0] - 60) < 0.5


# In a restoration


@pytest.fixture
def shot(tmp_path):
    restoration = create_restoration(tmp_path / "shot.wetgate", "exemplar")
    with restoration.add_pair(1001) as draft:
        for path in (draft.scan, draft.reference):
            write_image(path, two_textures(), bit_depth="float")
    write_image(tmp_path / "virgin.png", shaded(RED), bit_depth="8")
    return open_restoration(restoration.folder)


def test_a_picture_is_kept_with_its_rights_and_links(shot, tmp_path):
    assert read(shot) is None
    link = Link((8, 8, 60, 80), (10, 10, 120, 70), 1001)
    number = add(shot, tmp_path / "virgin.png", rights="public domain", element="oil on canvas", weight=2, links=[link])
    (tmp_path / "virgin.png").unlink()
    (picture,) = read(shot).pictures
    assert number == 1
    assert (picture.name, picture.rights, picture.element, picture.weight) == (
        "virgin.png",
        "public domain",
        "oil on canvas",
        2,
    )
    assert picture.links == (link,)
    np.testing.assert_allclose(picture.pixels, shaded(RED), atol=1 / 255)
    made = read(shot).construct(two_textures())
    assert made.origins[0].rights == "public domain"
    assert abs(hue(made.reference[10:-10, 10:70]) - hue(shaded(RED))) < 15
    assert shot.sources[-1]["rights"] == "public domain"


def test_links_and_pictures_that_cannot_be_are_refused_before_anything_is_written(shot, tmp_path):
    good, outside = (8, 8, 60, 80), (150, 8, 60, 80)
    for link, words in (
        (Link(outside, good, 1001), "does not lie in frame 1001"),
        (Link(good, outside, 1001), "does not lie in .*virgin.png"),
        (Link(good, good, 7), "Frame 7, which a link speaks of"),
    ):
        with pytest.raises(WetgateError, match=words):
            add(shot, tmp_path / "virgin.png", rights="mine", links=[link])
    with pytest.raises(WetgateError, match="weight must be above 0"):
        add(shot, tmp_path / "virgin.png", rights="mine", weight=0)
    with pytest.raises(WetgateError):
        add(shot, tmp_path / "nothing.png", rights="mine")
    assert read(shot) is None


def strokes(path, size, *places, alpha=True):
    """Drawn over nothing: (colour, box) each."""
    pixels, amount = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
    for colour, (x, y, width, height) in places:
        pixels[y : y + height, x : x + width] = colour
        amount[y : y + height, x : x + width] = 1
    write_image(path, pixels, alpha=amount if alpha else None, bit_depth="8")
    return path


@pytest.mark.parametrize("alpha", [True, False])
def test_strokes_link_what_was_drawn_in_one_colour(shot, tmp_path, alpha):
    write_image(tmp_path / "two.png", np.hstack([shaded(RED), shaded(BLUE)]), bit_depth="8")
    yellow, cyan = (1, 1, 0), (0, 1, 1)
    here = strokes(tmp_path / "h.png", (HEIGHT, WIDTH), (yellow, (8, 40, 60, 9)), (cyan, (95, 40, 60, 9)), alpha=alpha)
    there = strokes(
        tmp_path / "t.png", (HEIGHT, 2 * WIDTH), (cyan, (190, 10, 99, 9)), (yellow, (9, 9, 99, 9)), alpha=alpha
    )
    add(shot, tmp_path / "two.png", rights="mine", strokes=[(here, there, 1001)])
    here.unlink()
    made = read(shot).construct(two_textures()).reference
    assert abs(hue(made[10:-10, 10:70]) - hue(shaded(RED))) < 15
    assert abs(hue(made[10:-10, 90:150]) - hue(shaded(BLUE))) < 15


def test_strokes_that_link_nothing_are_refused(shot, tmp_path):
    yellow, cyan, size = (1, 1, 0), (0, 1, 1), (HEIGHT, WIDTH)
    here = strokes(tmp_path / "h.png", size, (yellow, (8, 40, 60, 9)))
    there = strokes(tmp_path / "t.png", size, (cyan, (8, 40, 60, 9)))
    for files, words in (
        ((here, there), r"h.png has strokes of about #ffff00, but .*t.png has none"),
        ((here, strokes(tmp_path / "n.png", size)), "n.png has no strokes"),
        ((here, strokes(tmp_path / "s.png", (50, 50), (yellow, (8, 8, 20, 9)))), "50 x 50 but it is 160 x 96"),
    ):
        with pytest.raises(WetgateError, match=words):
            add(shot, tmp_path / "virgin.png", rights="mine", strokes=[(*files, 1001)])
    assert read(shot) is None


def test_a_damaged_exemplar_is_told_of(shot, tmp_path):
    add(shot, tmp_path / "virgin.png", rights="mine")
    folder = shot.folder / "exemplars" / "0001"
    (folder / "exemplar.json").write_text('{"name": "virgin.png"}')
    with pytest.raises(WetgateError, match=r"exemplar\.json makes no sense"):
        read(shot)
    (folder / "picture.png").unlink()
    with pytest.raises(WetgateError, match="has no picture any more"):
        read(shot)
