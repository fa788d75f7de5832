"""The pages before there is anything to show: no engine, no restoration."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from nuke_plugin import words
from nuke_plugin.panel import theme
from nuke_plugin.panel.qt import Qt, QtWidgets, em, named, scaled
from nuke_plugin.session import Session
from wetgate.project import TRAINABLE


class InstallPage(QtWidgets.QWidget):
    """The engine is missing or broken: say so in a sentence, and set it up."""

    def __init__(self, session: Session, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self._session = session
        self._lines: tuple[str, ...] = ()
        self.title = _heading("Wetgate needs its engine")
        self.why = QtWidgets.QLabel(
            "The engine trains and runs models. It is a program of its own, outside of Nuke: it is installed once for "
            "your user account, needs no administrator, and takes about 1.2 GB of disk and a minute or more."
        )
        self.why.setWordWrap(True)
        self.problem = theme.dimmed(QtWidgets.QLabel())
        self.problem.setWordWrap(True)
        self.install = QtWidgets.QPushButton("Install engine")
        self.install.setProperty("main", True)
        named(self.install, "Install engine", "Run bootstrap.py install, which came with this plug-in")
        self.install.clicked.connect(session.install)
        self.cancel = QtWidgets.QPushButton("Cancel")
        named(self.cancel, "Cancel the installation")
        self.cancel.clicked.connect(lambda: session.cancel("install"))
        self.again = QtWidgets.QPushButton("Look again")
        named(self.again, "Look for the engine again")
        self.again.clicked.connect(lambda: session.examine())
        self.progress = QtWidgets.QProgressBar()
        self.progress.setRange(0, 0)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(max(4, em(self) // 3))
        named(self.progress, "Installing")
        self.log = QtWidgets.QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(2000)
        named(self.log, "What the installation says")
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self.install)
        row.addWidget(self.cancel)
        row.addWidget(self.again)
        row.addStretch(1)
        layout = _column(self)
        for widget in (self.title, self.why, self.problem):
            layout.addWidget(widget)
        layout.addLayout(row)
        layout.addWidget(self.progress)
        layout.addWidget(self.log, 1)
        layout.addStretch(0)

    def refresh(self) -> None:
        session = self._session
        installing = "install" in session.busy
        self.problem.setText("" if session.health is None else session.health.sentence)
        self.problem.setVisible(bool(self.problem.text()) and not installing)
        self.install.setEnabled(not session.busy & {"install", "examine"})
        self.install.setText("Installing…" if installing else "Install engine")
        self.cancel.setVisible(installing)
        self.again.setVisible(not installing)
        self.again.setEnabled("examine" not in session.busy)
        self.progress.setVisible(installing or "examine" in session.busy)
        self.log.setVisible(bool(session.set_up))
        if session.set_up != self._lines:
            if session.set_up[: len(self._lines)] != self._lines:
                self.log.clear()
                self._lines = ()
            for line in session.set_up[len(self._lines) :]:
                self.log.appendPlainText(line)
            self._lines = session.set_up


class OpenPage(QtWidgets.QWidget):
    """No restoration is open: make one, or open one."""

    def __init__(self, session: Session, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self._session = session
        self.title = _heading("Start a restoration")
        self.what = QtWidgets.QLabel(
            "A restoration is a folder that holds the pairs, the trainings and the models of one job. Anyone who can "
            "read it can go on with it."
        )
        self.what.setWordWrap(True)
        self.problem = QtWidgets.QLabel()
        self.problem.setWordWrap(True)
        self.folder = QtWidgets.QLineEdit()
        self.folder.setPlaceholderText("A new folder, for example reel3_shot010.wetgate (in your home folder)")
        named(self.folder, "Folder of the new restoration")
        self.folder.textChanged.connect(lambda _: self.refresh())
        self.browse = QtWidgets.QToolButton()
        self.browse.setText("…")
        named(self.browse, "Choose where the new restoration goes")
        self.browse.clicked.connect(self._browse)
        self.recipe = QtWidgets.QComboBox()
        for key in TRAINABLE:
            self.recipe.addItem(words.RECIPES[key], key)
            self.recipe.setItemData(self.recipe.count() - 1, words.BEGIN[key], Qt.ItemDataRole.ToolTipRole)
        named(self.recipe, "What is to be restored")
        self.encoding = QtWidgets.QComboBox()
        for key, name in words.ENCODINGS.items():
            self.encoding.addItem(name, key)
        self.encoding.setCurrentIndex(self.encoding.findData("display" if session.desk.why_not else "linear"))
        named(self.encoding, "How the pictures are coded", "Of scan and reference, as they are handed over")
        self.make = QtWidgets.QPushButton("Make restoration")
        self.make.setProperty("main", True)
        named(self.make, "Make restoration")
        self.make.clicked.connect(self._make)
        self.open = QtWidgets.QPushButton("Open another…")
        named(self.open, "Open a restoration", "Choose a folder that holds one", "Ctrl+O")
        form = QtWidgets.QFormLayout()
        place = QtWidgets.QHBoxLayout()
        place.addWidget(self.folder, 1)
        place.addWidget(self.browse)
        form.addRow("Folder", place)
        form.addRow("Restores", self.recipe)
        form.addRow("Pictures are", self.encoding)
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self.make)
        row.addWidget(self.open)
        row.addStretch(1)
        layout = _column(self)
        for widget in (self.problem, self.title, self.what):
            layout.addWidget(widget)
        layout.addLayout(form)
        layout.addLayout(row)
        layout.addStretch(1)

    def refresh(self) -> None:
        problem = self._session.standing.problem
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.make.setEnabled(bool(self.folder.text().strip()))

    def _browse(self) -> None:
        name, _ = QtWidgets.QFileDialog.getSaveFileName(
            self, "New restoration", self.folder.text(), "Restorations (*.wetgate)"
        )
        if name:
            self.folder.setText(name if name.endswith(".wetgate") else f"{name}.wetgate")

    def _make(self) -> None:
        folder = Path.home() / Path(self.folder.text().strip()).expanduser()
        self._session.create(folder, str(self.recipe.currentData()), str(self.encoding.currentData()))


def _heading(text: str) -> QtWidgets.QLabel:
    label = QtWidgets.QLabel(text)
    label.setFont(scaled(label.font(), 1.35, bold=True))
    return label


def _column(widget: QtWidgets.QWidget) -> QtWidgets.QVBoxLayout:
    """A column that is not wider than is good to read."""
    outer = QtWidgets.QHBoxLayout(widget)
    inner = QtWidgets.QWidget()
    inner.setMaximumWidth(46 * em(widget))
    outer.addStretch(1)
    outer.addWidget(inner, 8)
    outer.addStretch(1)
    layout = QtWidgets.QVBoxLayout(inner)
    layout.setSpacing(round(0.8 * em(widget)))
    layout.setContentsMargins(0, 2 * em(widget), 0, em(widget))
    layout.setAlignment(Qt.AlignmentFlag.AlignTop)
    return layout
