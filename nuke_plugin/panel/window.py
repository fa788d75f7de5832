"""The panel as a whole.

No engine:                    no restoration:               else:

    +--------------------+    +--------------------+    +--------+----------------------+
    | needs its engine   |    | start one          |    | pairs  | Training|Pair|Runs|.. |
    | [Install engine]   |    | [Make] [Open...]   |    | [....] |  picture, curves      |
    | its words ...      |    |                    |    | [....] +----------------------+
    +--------------------+    +--------------------+    |        | options    [ Train ]  |
                                                        +--------+----------------------+

A panel holds nothing that is not on disk: it may be destroyed at any moment, as Nuke does when it is docked anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Optional

from nuke_plugin import words
from nuke_plugin.engine import Calls
from nuke_plugin.panel import theme
from nuke_plugin.panel.delivery import Clock, Pictures, Pump
from nuke_plugin.panel.first_steps import InstallPage, OpenPage
from nuke_plugin.panel.pairs import PairList, PairPage
from nuke_plugin.panel.qt import Qt, QtCore, QtGui, QtWidgets, em, keeps, named, open_file
from nuke_plugin.panel.runs import RunsPage
from nuke_plugin.panel.suggestions import SuggestionsPage
from nuke_plugin.panel.training import TrainBar, TrainPage
from nuke_plugin.session import Desk, Session

LOOK_MS = 400
_TICK_MS = 500
_NARROW_EMS = 46


class Panel(QtWidgets.QWidget):
    """Shows one session.

    Args:
        desk: the host application; None for none.
        folder: the restoration to open; None for the one that was open last.
        session: for tests.
    """

    _keys: Mapping[Any, Callable[[], None]] = MappingProxyType({})  # Qt sends events before there are any

    def __init__(
        self,
        desk: Optional[Desk] = None,
        folder: Optional[Path] = None,
        *,
        session: Optional[Session] = None,
        parent: Optional[QtWidgets.QWidget] = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("WetgatePanel")
        self.setWindowTitle("Wetgate")
        self._folder: Optional[Path] = None
        self._asked_for_new = False
        self._listed: tuple[Path, ...] = ()
        self.session = session if session is not None else Session(Calls(), desk=desk)
        self.pictures = Pictures(self.session.calls)
        Pump(self.session.calls, self)
        self._build()
        self._keys = self._acts()
        self.setStyleSheet(theme.sheet(self.palette()))
        self.session.listen(self.refresh)
        self.destroyed.connect(_closer(self.session, self.pictures))
        Clock(LOOK_MS, self._look, self)
        Clock(_TICK_MS, self.bar.tick, self)
        self.session.start(folder)
        self.refresh()

    def sizeHint(self) -> QtCore.QSize:  # noqa: N802 - Qt's name
        return QtCore.QSize(72 * em(self), 46 * em(self))

    def minimumSizeHint(self) -> QtCore.QSize:  # noqa: N802
        return QtCore.QSize(24 * em(self), 24 * em(self))

    # What it is made of

    def _build(self) -> None:
        session = self.session
        self.restorations = QtWidgets.QComboBox()
        self.restorations.setSizeAdjustPolicy(
            QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.restorations.setMinimumContentsLength(12)
        named(self.restorations, "Restoration")
        self.restorations.activated.connect(self._switch)
        self.open = QtWidgets.QPushButton("Open…")
        named(self.open, "Open a restoration", "Choose a folder that holds one", "Ctrl+O")
        self.open.clicked.connect(self.choose_folder)
        self.new = QtWidgets.QPushButton("New…")
        named(self.new, "New restoration", "", "Ctrl+N")
        self.new.clicked.connect(self.show_new)
        self.about = theme.dimmed(QtWidgets.QLabel())
        head = QtWidgets.QHBoxLayout()
        head.addWidget(self.restorations, 2)
        head.addWidget(self.open)
        head.addWidget(self.new)
        head.addWidget(self.about, 3)

        self.list = PairList(session, self.pictures)
        self.train_page = TrainPage(session, self.pictures)
        self.pair_page = PairPage(session, self.pictures)
        self.runs_page = RunsPage(session, self.pictures)
        self.suggestions = SuggestionsPage(session)
        self.tabs = QtWidgets.QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.addTab(self.train_page, "Training")
        self.tabs.addTab(self.pair_page, "Pair")
        self.tabs.addTab(self.runs_page, "Runs")
        self.tabs.addTab(self.suggestions, "Pair next")
        self.tabs.tabBar().setAccessibleName("What is shown")
        self.tabs.currentChanged.connect(self._turn)
        self.list.opened.connect(lambda: self.tabs.setCurrentWidget(self.pair_page))
        self.bar = TrainBar(session)
        self.splitter = QtWidgets.QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.list)
        self.splitter.addWidget(self.tabs)
        self.splitter.setStretchFactor(0, 0)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([21 * em(self), 52 * em(self)])
        work = QtWidgets.QWidget()
        layout = QtWidgets.QVBoxLayout(work)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.splitter, 1)
        layout.addWidget(_rule(self.palette()))
        layout.addWidget(self.bar)

        self.install_page = InstallPage(session)
        self.open_page = OpenPage(session)
        self.open_page.open.clicked.connect(self.choose_folder)
        self.work_page = work
        self.pages = QtWidgets.QStackedWidget()
        for page in (self.work_page, self.open_page, self.install_page):
            self.pages.addWidget(page)

        self.notice = QtWidgets.QLabel()
        self.notice.setWordWrap(True)
        self.notice.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.notice.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)
        named(self.notice, "Message")
        self.report = QtWidgets.QPushButton("Open report")
        named(self.report, "Open report", "Of the newest finished run, in the browser")
        self.report.clicked.connect(self._open_report)
        self.node = QtWidgets.QPushButton("Create restore node")
        named(self.node, "Create restore node", "With the newest model")
        theme.tooltips_on(self.node)
        self.node.clicked.connect(lambda: session.create_restore())
        self.foot = QtWidgets.QWidget()
        row = QtWidgets.QHBoxLayout(self.foot)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.notice, 1)
        row.addWidget(self.report)
        row.addWidget(self.node)

        whole = QtWidgets.QVBoxLayout(self)
        gap = round(0.6 * em(self))
        whole.setContentsMargins(gap, gap, gap, gap)
        whole.setSizeConstraint(QtWidgets.QLayout.SizeConstraint.SetNoConstraint)  # see resizeEvent
        whole.addLayout(head)
        whole.addWidget(self.pages, 1)
        whole.addWidget(self.foot)

    # Keys of the whole panel; those of lists and pictures are their own

    def _acts(self) -> Mapping[Any, Callable[[], None]]:
        """What Ctrl and a key do."""
        tabs = (Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3, Qt.Key.Key_4)
        return {
            Qt.Key.Key_O: self.choose_folder,
            Qt.Key.Key_N: self.show_new,
            Qt.Key.Key_T: self.session.train,
            Qt.Key.Key_P: self.session.pause_or_resume,
            **{key: partial(self.tabs.setCurrentIndex, row) for row, key in enumerate(tabs)},
        }

    def event(self, event: QtCore.QEvent) -> bool:
        return keeps(event, self._keys, control=True) or super().event(event)

    def keyPressEvent(self, event: QtGui.QKeyEvent) -> None:  # noqa: N802
        if event.key() in self._keys and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._keys[event.key()]()
        else:
            super().keyPressEvent(event)

    # What it shows

    def refresh(self) -> None:
        """Show the session as it is now."""
        session, standing = self.session, self.session.standing
        if standing.folder != self._folder:
            self._folder, self._asked_for_new = standing.folder, False
        missing = session.health is not None and not session.has_engine
        if missing or session.busy & {"install", "examine"}:
            self.pages.setCurrentWidget(self.install_page)
        elif standing.folder is None or standing.problem or self._asked_for_new:
            self.pages.setCurrentWidget(self.open_page)
        else:
            self.pages.setCurrentWidget(self.work_page)
        self._show_head()
        self._show_foot()
        if self.pages.currentWidget() is not self.work_page:
            self.install_page.refresh()
            self.open_page.refresh()
            return
        self.list.refresh()
        self.bar.refresh()
        page = self.tabs.currentWidget()
        if isinstance(page, (TrainPage, PairPage, RunsPage, SuggestionsPage)):
            page.refresh()

    def _show_head(self) -> None:
        session, standing = self.session, self.session.standing
        if session.recent != self._listed:
            self._listed = session.recent
            self.restorations.clear()
            for row, folder in enumerate(session.recent):
                self.restorations.addItem(folder.name, str(folder))
                self.restorations.setItemData(row, str(folder), Qt.ItemDataRole.ToolTipRole)
        if standing.folder is not None:
            self.restorations.setCurrentIndex(self.restorations.findData(str(standing.folder)))
            self.restorations.setToolTip(str(standing.folder))
        self.restorations.setVisible(bool(session.recent))
        said = ""
        if standing.recipe:
            encoding = words.ENCODINGS.get(standing.encoding, standing.encoding).partition(" (")[0]
            said = f"{words.RECIPES.get(standing.recipe, standing.recipe)}, {encoding.lower()} pictures"
        self.about.setText(said)

    def _show_foot(self) -> None:
        session = self.session
        self.notice.setText(session.notice)
        palette = QtGui.QPalette(self.palette())
        if session.trouble:
            palette.setColor(theme.Role.WindowText, theme.mix(theme.BAD, theme.Colour(255, 255, 255), 0.3))
        self.notice.setPalette(palette)
        at_work = self.pages.currentWidget() is self.work_page
        self.node.setVisible(at_work)
        self.report.setVisible(at_work)
        model = session.model
        self.node.setEnabled(model is not None and not session.desk.why_not)
        self.node.setToolTip(
            session.desk.why_not or (f"With the model of run {model.number}" if model else "Train first")
        )
        self.report.setEnabled(self._report() is not None)

    def _report(self) -> Optional[Path]:
        return next((run.report for run in reversed(self.session.standing.runs) if run.report is not None), None)

    # What is done to it

    def choose_folder(self) -> None:
        """Ask for a restoration and open it."""
        at = str(self.session.standing.folder or "")
        folder = QtWidgets.QFileDialog.getExistingDirectory(self, "Open a restoration", at)
        if folder:
            self.session.open(Path(folder))

    def show_new(self) -> None:
        """Show the page that makes a restoration; the same again goes back."""
        self._asked_for_new = not self._asked_for_new
        self.refresh()
        if self._asked_for_new:
            self.open_page.folder.setFocus()

    def _turn(self, _: int) -> None:
        if self.tabs.currentWidget() is self.suggestions:
            self.session.look_at_viewer()
        self.refresh()

    def _switch(self, row: int) -> None:
        folder = Path(str(self.restorations.itemData(row)))
        if folder != self.session.standing.folder:
            self.session.open(folder)

    def _open_report(self) -> None:
        report = self._report()
        if report is not None:
            open_file(report)

    def _look(self) -> None:
        if self.isVisible():
            self.session.look()

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:  # noqa: N802
        """Side by side where there is room, one above the other in a narrow dock."""
        narrow = self.width() < _NARROW_EMS * em(self)
        self.splitter.setOrientation(Qt.Orientation.Vertical if narrow else Qt.Orientation.Horizontal)
        for part in (self.bar, self.pair_page, self.runs_page):
            part.set_narrow(narrow)
        self.about.setVisible(not narrow)
        super().resizeEvent(event)


def _closer(session: Session, pictures: Pictures) -> object:
    """What is done when Qt has destroyed the panel: nothing of it may be touched any more."""

    def close() -> None:
        session.close()
        pictures.close()

    return close


def _rule(palette: QtGui.QPalette) -> QtWidgets.QFrame:
    rule = QtWidgets.QFrame()
    rule.setFixedHeight(1)
    rule.setStyleSheet(f"background: {theme.line(palette).name()};")
    return rule
