"""Pictures of every state of the panel: ``python tests/panel/screenshots.py OUT``.

Set QT_SCALE_FACTOR=1.5 to see it as large as many artists do.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from panel_stage import add_pair, add_run, new_restoration  # noqa: E402

from nuke_plugin.engine import Calls, Engine, Health  # noqa: E402
from nuke_plugin.panel import theme  # noqa: E402
from nuke_plugin.panel.qt import QtCore, QtWidgets  # noqa: E402
from nuke_plugin.panel.window import Panel  # noqa: E402
from nuke_plugin.session import Session, Suggestion  # noqa: E402
from nuke_plugin.standing import write_note  # noqa: E402

WIDE, NARROW = (1100, 720), (440, 900)
SETTING_UP = (
    "setting up the engine (engine, cpu); once, and it takes a minute or more.",
    "Collecting torch==2.13.0",
    "Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (183.2 MB)",
    "Collecting onnxruntime==1.31.0",
    "Installing collected packages: numpy, onnxruntime, torch",
)


class Desk:
    """A host that does nothing."""

    why_not = ""

    def from_viewer(self, folder):
        return "Added frame 1001 as a pair."

    def create_restore(self, model, folder):
        return "WetgateRestore1"

    def scan_pattern(self):
        return "/reels/scan/reel3.####.dpx"


class Photographer:
    """Opens panels, brings them into a state, and takes their pictures."""

    def __init__(self, folder: Path, out: Path) -> None:
        self.folder, self.out = folder, out
        self.application = QtWidgets.QApplication([])
        theme.use_without_host(self.application)

    def take(self, name, restoration=None, arrange=lambda panel: None, *, size=WIDE, health="ready") -> None:
        calls = Calls()
        session = Session(calls, desk=Desk(), engine=Engine(calls, ["nothing"]), memory=self.folder / "panel.json")
        session.engine.prepare = lambda *_: None
        panel = Panel(session=session, folder=restoration)
        panel.resize(*size)
        panel.show()
        self.wait(0.8)
        session.health = Health(health, "" if health == "ready" else "The command `wetgate` was not found.")
        session.say("")
        arrange(panel)
        panel.refresh()
        self.wait(0.5)
        panel.grab().save(str(self.out / f"{name}.png"))
        session.close()
        panel.pictures.close()
        panel.deleteLater()
        self.wait(0.05)

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.application.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 20)
            time.sleep(0.005)


def tab(number, then=lambda panel: None):
    def arrange(panel):
        panel.tabs.setCurrentIndex(number)
        then(panel)

    return arrange


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shoot = Photographer(folder, out)
        shoot.take("01-engine-missing", health="missing")
        shoot.take("02-engine-installing", None, installing, health="missing")
        shoot.take("03-no-restoration", None)
        new_restoration(folder / "empty.wetgate")
        shoot.take("04-no-pairs", folder / "empty.wetgate")
        new_restoration(folder / "new.wetgate", 3, drawn=False, decided=False)
        shoot.take("05-new-pairs", folder / "new.wetgate")

        reel = new_restoration(folder / "reel3_shot010.wetgate", 5)
        add_pair(reel, 1188, region=(320, 40, 512, 272))
        reel.pairs()[4].update(state="rejected", reason="scan and reference do not show the same picture")
        shoot.take("06-ready", reel.folder)
        shoot.take("07-pair-wipe", reel.folder, tab(1, lambda panel: panel.session.choose(2)))
        shoot.take("08-pair-beside", reel.folder, tab(1, beside))
        shoot.take("09-pair-rejected", reel.folder, tab(1, lambda panel: panel.session.choose(5)))
        add_run(reel, "finished", delta_e=4.2, points=25)
        write_note(reel.runs()[0].folder, "first try, skin a little green")
        second = add_run(reel, "finished", delta_e=3.1, protect="luma")
        shoot.take("10-finished", reel.folder)
        shoot.take("11-runs", reel.folder, tab(2))
        shoot.take("12-runs-compared", reel.folder, tab(2, lambda panel: panel.runs_page.tree.selectAll()))
        shoot.take("13-pair-next", reel.folder, tab(3, suggested))
        del second
        running = add_run(reel, "training", points=30)
        with running.lock():
            shoot.take("14-training", reel.folder)
            shoot.take("15-training-narrow", reel.folder, size=NARROW)
            running.send("pause")
            shoot.take("16-pausing", reel.folder)
            running.take_commands()
            running.write_status({"state": "paused", "seconds": 232.0, "device": "CPU"})
            shoot.take("17-paused", reel.folder)
        shoot.take("18-broken-off", reel.folder)
        running.write_status(
            {"state": "failed", "message": "The disk is full: model.onnx could not be written.", "seconds": 40}
        )
        shoot.take("19-failed", reel.folder, failed)


def installing(panel):
    panel.session.set_up = SETTING_UP
    panel.session._tasks["install"] = None


def beside(panel):
    panel.session.choose(3)
    panel.pair_page.stage.overlay.set_mode("beside")


def suggested(panel):
    panel.session.coverage = 0.83
    panel.session.known = {
        frame: 0.95 - 0.5 * math.exp(-(((frame - 1210) / 30) ** 2)) - 0.25 * math.exp(-(((frame - 1377) / 40) ** 2))
        for frame in range(1001, 1520, 4)
    }
    panel.session.suggestions = (
        Suggestion(1210, "31 % of the picture has colours that no pair shows, mostly dark blues; shot 3.", 0.69, 0.12),
        Suggestion(1377, "A new shot: skin in warm light, which only one pair shows.", 0.78, 0.05),
        Suggestion(1502, "18 % of the picture has colours that no pair shows, mostly greens; shot 7.", 0.82, 0.03),
    )


def failed(panel):
    panel.session.say("The disk is full: model.onnx could not be written.", trouble=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
