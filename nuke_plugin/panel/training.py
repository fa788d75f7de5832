"""Training: how to train, the buttons, what is going on, curves, and the picture before and after."""

from __future__ import annotations

from typing import Optional

from nuke_plugin import words
from nuke_plugin.panel import theme
from nuke_plugin.panel.curves import Curves
from nuke_plugin.panel.delivery import Pictures
from nuke_plugin.panel.overlay import OverlayBar
from nuke_plugin.panel.qt import Qt, QtGui, QtWidgets, em, named, scaled, shrinkable, turned
from nuke_plugin.session import Session
from nuke_plugin.standing import RunStanding

_PER_MILLE = 1000


class TrainBar(QtWidgets.QWidget):
    """Options, buttons and progress: always in view."""

    def __init__(self, session: Session, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self._session = session
        self.protect = shrinkable(QtWidgets.QComboBox())
        for key, (name, what) in words.PROTECTED.items():
            self.protect.addItem(f"Protect {name.lower()}", key)
            self.protect.setItemData(self.protect.count() - 1, what, Qt.ItemDataRole.ToolTipRole)
        named(self.protect, "What of the scan is protected")
        self.protect.currentIndexChanged.connect(self._choose)
        self.grain = shrinkable(QtWidgets.QComboBox())
        for key, (name, what) in words.GRAIN.items():
            self.grain.addItem(name, key)
            self.grain.setItemData(self.grain.count() - 1, what, Qt.ItemDataRole.ToolTipRole)
        named(self.grain, "What becomes of the scan's grain")
        self.grain.currentIndexChanged.connect(self._choose)
        self.time = shrinkable(QtWidgets.QComboBox())
        for name, seconds in words.DURATIONS.items():
            self.time.addItem(name, float(seconds))
        named(self.time, "How long it trains", "In all, report included; it can be stopped at any time")
        self.time.currentIndexChanged.connect(self._choose)
        self.hold_out = QtWidgets.QSpinBox()
        self.hold_out.setRange(0, 20)
        self.hold_out.setSpecialValueText("Held out: by turns")
        self.hold_out.setPrefix("Held out: ")
        named(self.hold_out, "Pairs held out", "Never train on so many pairs; by turns, no pair is lost")
        self.hold_out.valueChanged.connect(self._choose)
        self.train = self._button("Train", "Start a new run in the background", "Ctrl+T", session.train)
        self.train.setProperty("main", True)
        self.go_on = self._button("Go on", "Go on with the latest run where it was left", "", session.go_on)
        self.pause = self._button("Pause", "Compute nothing until it is resumed", "Ctrl+P", session.pause_or_resume)
        self.keep = self._button("Update model", "Write what it has learnt so far as the model, now", "", self._keep)
        self.stop = self._button("Stop", "End it after this step; the model so far stays", "", self._stop)
        self.progress = QtWidgets.QProgressBar()
        self.progress.setRange(0, _PER_MILLE)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(max(4, em(self) // 3))
        named(self.progress, "Progress of the training")
        self.state = QtWidgets.QLabel()
        self.state.setFont(scaled(self.font(), 1.0, bold=True))
        self.doing = QtWidgets.QLabel()
        self.doing.setWordWrap(True)
        self.doing.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)
        self.left = QtWidgets.QLabel()
        self.device = theme.dimmed(QtWidgets.QLabel())

        options = QtWidgets.QHBoxLayout()
        for widget in (self.protect, self.grain, self.time, self.hold_out):
            options.addWidget(widget)
        options.addStretch(1)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addStretch(1)
        for button in (self.go_on, self.keep, self.stop, self.pause, self.train):
            buttons.addWidget(button)
        self._rows = QtWidgets.QHBoxLayout()
        self._rows.addLayout(options)
        self._rows.addLayout(buttons)
        said = QtWidgets.QHBoxLayout()
        said.setSpacing(em(self) // 2)
        said.addWidget(self.state, 0, Qt.AlignmentFlag.AlignTop)
        said.addWidget(self.doing, 1)
        said.addWidget(self.left, 0, Qt.AlignmentFlag.AlignTop)
        said.addWidget(self.device, 0, Qt.AlignmentFlag.AlignTop)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._rows)
        layout.addWidget(self.progress)
        layout.addLayout(said)

    def _button(self, name: str, what: str, key: str, act: object) -> QtWidgets.QPushButton:
        button = QtWidgets.QPushButton(name)
        named(button, name, what, key)
        button.clicked.connect(act)
        theme.tooltips_on(button)
        return button

    def set_narrow(self, narrow: bool) -> None:
        turned(self._rows, narrow)

    def refresh(self) -> None:
        session = self._session
        run, actions = session.standing.latest, session.actions
        self._show_options()
        at_work = run is not None and run.at_work
        self.train.setEnabled("train" in actions)
        self.train.setToolTip(session.why_not_train or "Start a new run in the background (Ctrl+T)")
        self.go_on.setVisible("go_on" in actions)
        self.keep.setVisible(session.state == "training")
        self.keep.setEnabled("checkpoint" in actions)
        self.pause.setText("Resume" if session.state == "paused" else "Pause")
        self.pause.setAccessibleName(self.pause.text())
        self.pause.setEnabled(bool(actions & {"pause", "resume"}))
        self.stop.setEnabled("stop" in actions)
        self.progress.setEnabled(at_work)
        self.state.setText(self._state_words(run))
        self.state.setVisible(bool(self.state.text()))
        palette = QtGui.QPalette(self.palette())
        if run is not None and run.state in ("failed", "interrupted") and not session.starting:
            palette.setColor(theme.Role.WindowText, theme.BAD)
        self.state.setPalette(palette)
        self.doing.setText(self._doing_words(run))
        device = str(run.status.get("device", "")) if run is not None else ""
        self.device.setText(f"on {device}" if device and at_work else "")
        self.tick()

    def tick(self) -> None:
        """What changes with the clock alone."""
        run = self._session.standing.latest
        share = words.share_done(run) if run is not None else 0.0
        busy = self._session.starting or (run is not None and run.state == "waiting")
        self.progress.setRange(0, 0 if busy else _PER_MILLE)
        if not busy:
            self.progress.setValue(round(share * _PER_MILLE))
        left = words.seconds_left(run) if run is not None and not busy else None
        self.left.setText("" if left is None else f"{words.duration(left)} left")

    def _state_words(self, run: Optional[RunStanding]) -> str:
        if self._session.starting:
            return "Starting"
        return "" if run is None else f"Run {run.number}: {words.RUN_STATES.get(run.state, run.state)}"

    def _doing_words(self, run: Optional[RunStanding]) -> str:
        session = self._session
        if session.starting:
            return "The trainer is starting."
        if session.why_not_train and (run is None or not run.at_work):
            return session.why_not_train
        return words.doing(run)

    def _show_options(self) -> None:
        options = self._session.options
        recipe, pairs = self._session.standing.recipe, self._session.standing.pairs
        for name, box in (("protect", self.protect), ("grain", self.grain)):
            box.setVisible(name in words.CHOICES.get(recipe, ()))
        self.hold_out.setVisible(bool(pairs) or self._session.needs_reference)
        for box, value in (
            (self.protect, options.protect),
            (self.grain, options.grain),
            (self.time, options.seconds),
        ):
            index = box.findData(value)
            if index < 0 and box is self.time:  # set by hand, in restoration.json
                box.blockSignals(True)
                box.addItem(words.duration(options.seconds), options.seconds)
                box.blockSignals(False)
                index = box.count() - 1
            _quietly(box, index)
        self.hold_out.blockSignals(True)
        self.hold_out.setValue(options.hold_out)
        self.hold_out.blockSignals(False)
        self.protect.setToolTip(words.PROTECTED[options.protect][1])
        self.grain.setToolTip(words.GRAIN[options.grain][1])

    def _choose(self, _: int) -> None:
        self._session.choose_options(
            protect=str(self.protect.currentData()),
            grain=str(self.grain.currentData()),
            seconds=float(self.time.currentData()),
            hold_out=self.hold_out.value(),
        )

    def _stop(self) -> None:
        self._session.send("stop")

    def _keep(self) -> None:
        self._session.send("checkpoint")


class TrainPage(QtWidgets.QWidget):
    """A frame before and after, and the curves beneath it."""

    def __init__(self, session: Session, pictures: Pictures, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self._session = session
        self.stage = OverlayBar(pictures)
        self.frame = shrinkable(QtWidgets.QComboBox())
        named(self.frame, "Frame to watch", "Which pair is shown before and after while it trains")
        self.frame.activated.connect(self._watch)
        self.against = shrinkable(QtWidgets.QComboBox())
        self.against.addItem("scan and restored", "before")
        self.against.addItem("restored and reference", "aim")
        named(self.against, "What is compared")
        self.against.currentIndexChanged.connect(lambda _: self.refresh())
        self.stage.bar.addWidget(self.frame)
        self.stage.bar.addWidget(self.against)
        self.curves = Curves()
        splitter = QtWidgets.QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.stage)
        splitter.addWidget(self.curves)
        splitter.setStretchFactor(0, 1)
        splitter.setStretchFactor(1, 0)
        splitter.setSizes([24 * em(self), 11 * em(self)])
        splitter.setChildrenCollapsible(False)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(splitter)

    def refresh(self) -> None:
        run = self._session.standing.latest
        self.curves.show_run(run)
        self._show_frames(run)
        if run is None:
            self.stage.caption.setText("")
            self.stage.overlay.show_layers(("", None), ("", None), self._advice())
            return
        if run.after is None and run.strip is not None:  # a run that draws no chosen frame
            self.stage.overlay.show_layers(("Scan, restored, reference", run.strip), ("", None), "")
        elif self.against.currentData() == "aim":
            self.stage.overlay.show_layers(("Restored", run.after), ("Reference", run.aim), self._advice())
        else:
            self.stage.overlay.show_layers(("Scan", run.before), ("Restored", run.after), self._advice())
        stage = words.STAGES.get(run.stage, run.stage)
        self.stage.caption.setText(f"Shown: {stage}." if stage else "")

    def _show_frames(self, run: Optional[RunStanding]) -> None:
        pairs = [pair for pair in self._session.standing.pairs if pair.state in ("accepted", "collected", "prepared")]
        names = [(f"frame {pair.frame}", pair.number) for pair in pairs]
        shown = [(self.frame.itemText(row), self.frame.itemData(row)) for row in range(self.frame.count())]
        if names != shown:
            self.frame.blockSignals(True)
            self.frame.clear()
            for name, number in names:
                self.frame.addItem(name, number)
            self.frame.blockSignals(False)
        self.frame.setEnabled(run is not None and run.at_work and bool(names))
        if run is not None and run.preview_pair is not None:
            _quietly(self.frame, self.frame.findData(run.preview_pair))

    def _advice(self) -> str:
        standing = self._session.standing
        soon = " A first restored picture is here seconds later." if self._session.needs_reference else ""
        if not standing.pairs and not standing.footage:
            return f"{words.BEGIN.get(standing.recipe, words.BEGIN['color'])}\nThen press Train.{soon}"
        run = self._session.standing.latest
        if run is not None and run.at_work:
            return "The first restored picture comes in a moment."
        return f"Press Train.{soon}"

    def _watch(self, row: int) -> None:
        self._session.preview(int(self.frame.itemData(row)))


def _quietly(box: QtWidgets.QComboBox, index: int) -> None:
    """Choose an entry without telling anyone."""
    if index != box.currentIndex():
        box.blockSignals(True)
        box.setCurrentIndex(index)
        box.blockSignals(False)
