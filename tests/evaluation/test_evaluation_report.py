"""The report page: whole, self-contained, and saying what it was given."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from wetgate.errors import WetgateError
from wetgate.evaluation import (
    Measures,
    PairLine,
    Picture,
    Plot,
    Report,
    Row,
    Table,
    as_text,
    limits_of_pairs,
    write_report,
)
from wetgate.evaluation.plots import draw, plots_of
from wetgate.evaluation.report import LONGEST_EDGE, page

VOID = {"meta", "img", "br", "hr", "input", "link", "line", "circle", "polyline"}

SCAN = Measures(14.06, 0.512, 23.1, 40.2, 1.03, 0.9, 1.1, 0.97, flicker=1.7)
FIT = Measures(29.96, 0.811, 2.91, 6.25, 1.2, 0.887, 1.31, 1.02, flicker=1.6)
RESTORED = Measures(31.44, 0.802, 2.44, 5.55, 0.98, 0.906, 1.02, 1.04, flicker=1.51)


class Outline(HTMLParser):
    """Fails on tags that do not nest; keeps texts, attributes and what each row of a table says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.rows: list[list[str]] = []
        self.best: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.in_best = dict(attrs).get("class") == "best"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
            if self.in_best:
                self.best.append(data)

    def values(self, tag: str, name: str) -> list[str]:
        return [value for found, key, value in self.attributes if (found, key) == (tag, name)]

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def picture(value: float, height: int = 30, width: int = 40) -> np.ndarray:
    return np.full((height, width, 3), value, np.float32)


def full_report() -> Report:
    return Report(
        title="reel <3> & shot 010, run 002",
        headline="dE 23.10 → 2.44",
        facts={"recipe": "color", "pairs": "5 trained on, 1 held out"},
        pictures=[
            Picture("frame 1041, held out", picture(0.2), picture(0.5), picture(0.6), note='dE "2.44"'),
            Picture("frame 1050", picture(0.2), picture(0.5)),
        ],
        tables=[
            Table(
                "Held-out pairs", [Row("scan", SCAN), Row("closed-form fit", FIT, 30, 1.04), Row("restored", RESTORED)]
            ),
            Table("Each frame", [Row("1041", RESTORED)], ranked=False),
        ],
        plots=[Plot("Loss", [("loss", [(0, 1.0), (1, 0.1), (2, 0.01)])], logarithmic=True)],
        limits=limits_of_pairs(held_out=1, trained=5),
        pairs=[
            PairLine("0001", "1001", "accepted", "trained on"),
            PairLine("0002", "1013", "rejected", "", "another frame"),
        ],
        settings={"seed": 7, "protect": "grain"},
    )


def decoded(source: str) -> np.ndarray:
    data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_the_page_is_well_formed_and_loads_nothing(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", full_report())
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    outline = Outline(text)
    assert not re.search(r"https?://|//[a-z]+\.[a-z]+/|url\(|@import|<link|\bfetch\b|XMLHttp", text)
    assert all(source.startswith("data:image/") for source in outline.values("img", "src"))
    assert outline.values("script", "src") == []
    assert any("default-src 'none'" in content for content in outline.values("meta", "content"))
    assert list(tmp_path.iterdir()) == [tmp_path / "report.html"]


def test_it_says_what_it_was_given() -> None:
    outline = Outline(page(full_report()))
    for words in (
        "reel <3> & shot 010, run 002",
        "dE 23.10 → 2.44",
        'dE "2.44"',
        "5 trained on, 1 held out",
        "rest on one held-out pair",
        "grain",
    ):
        assert words in outline.text
    assert outline.rows[0][:2] == ["", "PSNR dB"]
    assert [
        "scan",
        "14.06",
        "0.512",
        "23.10",
        "40.20",
        "1.03",
        "0.900",
        "1.10",
        "0.97",
        "1.70",
        "–",
        "–",
    ] in outline.rows
    fit = ["closed-form fit", "29.96", "0.811", "2.91", "6.25", "1.20", "0.887", "1.31", "1.02", "1.60", "30", "1.0"]
    assert fit in outline.rows
    assert ["0002", "1013", "rejected", "", "another frame"] in outline.rows


def test_the_best_of_each_column_stands_out() -> None:
    outline = Outline(page(full_report()))
    assert outline.best == ["0.811", "1.02", "31.44", "2.44", "5.55", "0.98", "0.906", "1.02", "1.51"]


def test_what_reads_the_same_ranks_the_same() -> None:
    near = Measures(31.441, 0.8021, 2.441, 5.551, 1.02, 0.9061, 1.02, 1.04)
    rows = [Row("one", RESTORED), Row("other", near)]
    best = Outline(page(Report("r", tables=[Table("t", rows)]))).best
    assert best.count("31.44") == 2 and best.count("1.04") == 2 and "0.98" not in best


def test_pictures_come_out_as_they_went_in() -> None:
    outline = Outline(page(full_report()))
    shades = [decoded(source)[0, 0, 0] for source in outline.values("img", "src")]
    expected = [51, 128, 153, 255 * (0.5 + 4 * -0.1), 51, 128, 255]
    np.testing.assert_allclose(np.array(shades, float), expected, atol=1.5)
    assert outline.values("figure", "data-layers") == ["3", "2"]
    wipes = [value for value in outline.values("div", "aria-label") if " to " in value]
    assert wipes == ["scan to restored", "restored to reference", "scan to restored"]


def test_colours_keep_their_channels() -> None:
    red = picture(0.0)
    red[..., 0] = 1
    image = decoded(Outline(page(Report("r", pictures=[Picture("p", red, red)]))).values("img", "src")[0])
    blue, green, red_code = (int(code) for code in image[10, 10])
    assert red_code > 250 and max(blue, green) < 5


def test_large_pictures_are_made_smaller_and_single_pixels_stay() -> None:
    for shape, size in (((1000, 4000), (480, LONGEST_EDGE)), ((1, 1), (1, 1)), ((1, 9000), (1, LONGEST_EDGE))):
        pixels = picture(0.5, *shape)
        for source in Outline(page(Report("r", pictures=[Picture("p", pixels, pixels, pixels)]))).values("img", "src"):
            assert decoded(source).shape[:2] == size


def test_values_that_no_screen_shows_are_shown_as_their_nearest() -> None:
    wild = picture(0.5)
    wild[0, :8], wild[0, 8:16], wild[0, 16:24], wild[0, 24:] = -3, 7, np.inf, np.nan
    image = decoded(Outline(page(Report("r", pictures=[Picture("p", wild, wild)]))).values("img", "src")[0])
    assert image.shape == (30, 40, 3)


def test_pictures_of_different_sizes_are_refused_with_a_sentence() -> None:
    with pytest.raises(WetgateError, match=r"frame 7 differ in size \(scan 40x30, restored 9x8\)"):
        page(Report("r", pictures=[Picture("frame 7", picture(0.1), picture(0.1, 8, 9))]))


def test_an_empty_report_is_a_page_without_sections() -> None:
    outline = Outline(page(Report("run 001")))
    assert "run 001" in outline.text and outline.rows == []
    assert "section" not in {tag for tag, _, _ in outline.attributes}


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WetgateError, match="cannot be written"):
        write_report(tmp_path / "file" / "report.html", Report("r"))


def test_limits_speak_of_what_was_not_measured() -> None:
    none = " ".join(limits_of_pairs(held_out=0, trained=2))
    assert "No pair was held out" in none and "Trained on 2 pairs" in none and "Flicker is not measured" in none
    many = " ".join(limits_of_pairs(held_out=12, trained=20))
    assert "held out" not in many and "Trained on" not in many and "reference is taken for the truth" in many


def test_a_table_for_the_terminal_lines_up_and_stars_the_best() -> None:
    text = as_text(Table("Held-out pairs", [Row("scan", SCAN), Row("restored", RESTORED, 72_312, 60.0)], note="Mean."))
    title, head, scan, restored, note = text.splitlines()
    assert (title, note) == ("Held-out pairs", "Mean.")
    assert restored.split()[1:4] == ["31.44*", "0.802*", "2.44*"] and "72,312" in restored
    assert head.index("dE") + 2 == scan.index("23.10") + 5 == restored.index("2.44") + 4


def test_a_run_is_plotted_from_its_events() -> None:
    events = [
        {"time": 100.0, "event": "started"},
        {"time": 101.0, "loss": 0.5, "validation": None},
        {"time": 102.5, "loss": 0.25, "validation": 3.0},
        {"time": 999.0, "seconds": 4.0, "validation": 2.0},
    ]
    loss, validation = plots_of(events)
    assert loss.curves == [("loss", [(1.0, 0.5), (2.5, 0.25)])]
    assert validation.curves == [("validation", [(2.5, 3.0), (4.0, 2.0)])]
    assert plots_of([{"time": 1.0, "event": "started"}]) == []


def places(svg: str) -> list[tuple[float, float]]:
    points = re.search(r'polyline points="([^"]+)"', svg)
    assert points
    return [tuple(map(float, point.split(","))) for point in points[1].split()]


def test_a_plot_places_its_points() -> None:
    (x0, y0), (x1, y1), (x2, y2) = places(draw(Plot("p", [("c", [(0, 10), (5, 20), (10, 30)])])))
    assert x0 < x1 < x2 and x1 == pytest.approx((x0 + x2) / 2, abs=0.11)
    assert y0 > y1 > y2 and y1 == pytest.approx((y0 + y2) / 2, abs=0.11)


def test_a_logarithmic_plot_spaces_by_ratio() -> None:
    ys = [y for _, y in places(draw(Plot("p", [("c", [(0, 1.0), (1, 0.1), (2, 0.01)])], logarithmic=True)))]
    assert ys[1] - ys[0] == pytest.approx(ys[2] - ys[1], abs=0.11)


def test_a_plot_marks_the_best_point_and_names_it() -> None:
    svg = draw(Plot("p", [("dE", [(0, 5.0), (10, 2.5), (20, 3.0)]), ("fit", [(0, 4.0), (20, 4.0)])], best="min"))
    assert "dE 2.5 at 10 seconds (best)" in svg and "fit 4</span>" in svg
    assert svg.count("<circle") == 1


@pytest.mark.parametrize(
    "points",
    [[], [(0, float("nan"))], [(0, 0.0), (1, -1.0)], [(3, 2.0)], [(3, 2.0), (3, 2.0)], [(0, 1e-30), (1, 1e30)]],
)
def test_odd_curves_are_drawn_or_said_to_be_empty(points: list[tuple[float, float]]) -> None:
    svg = draw(Plot("p", [("c", points)], logarithmic=True))
    Outline(svg)
    assert "nan" not in svg and "inf" not in svg.lower()
    assert ("Nothing was recorded" in svg) == (not [y for _, y in points if y > 0])


def test_long_curves_stay_small() -> None:
    svg = draw(Plot("p", [("c", [(x, 1 + x % 7) for x in range(50_000)])]))
    assert len(places(svg)) <= 600
