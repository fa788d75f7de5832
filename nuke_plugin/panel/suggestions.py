"""What to pair next: how much of the scan the pairs know, and the frames that would add most."""

from __future__ import annotations

from typing import Optional

from nuke_plugin.panel import theme
from nuke_plugin.panel.qt import Qt, QtWidgets, em, scaled, tracked
from nuke_plugin.session import Session, Suggestion

_COLUMNS = ("Frame", "Known", "Gain", "Why")


class SuggestionsPage(QtWidgets.QWidget):
    """Names the scan, asks the engine, lists its answer."""

    def __init__(self, session: Session, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self._session = session
        self._shown: Optional[tuple[Suggestion, ...]] = None
        self._filled = ""
        self.scan = QtWidgets.QLineEdit()
        self.scan.setPlaceholderText("The scan, for example scan/reel3.####.dpx, a folder or a video")
        tracked(self.scan, "Files of the scan")
        self.scan.returnPressed.connect(self._ask)
        self.scan.textChanged.connect(lambda _: self.refresh())
        self.ask = QtWidgets.QPushButton("Find frames to pair")
        tracked(self.ask, "Find frames to pair", "Look through the scan for what no pair shows; takes some seconds")
        theme.tooltips_on(self.ask)
        self.ask.clicked.connect(self._ask)
        self.coverage = QtWidgets.QLabel()
        self.coverage.setFont(scaled(self.font(), 1.0, bold=True))
        self.tree = QtWidgets.QTreeWidget()
        self.tree.setColumnCount(len(_COLUMNS))
        self.tree.setHeaderLabels(list(_COLUMNS))
        self.tree.setRootIsDecorated(False)
        self.tree.setWordWrap(True)
        tracked(self.tree, "Frames to pair next")
        self.hint = theme.dimmed(
            QtWidgets.QLabel(
                "Wetgate looks through the scan for colours that no pair shows, and names the frames that would add "
                "most, one of each shot first."
            )
        )
        self.hint.setWordWrap(True)
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self.scan, 1)
        row.addWidget(self.ask)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.hint)
        layout.addWidget(self.coverage)
        layout.addWidget(self.tree, 1)

    def refresh(self) -> None:
        session = self._session
        pattern = session.scan_pattern
        if pattern != self._filled and self.scan.text() in ("", self._filled):
            self._filled = pattern
            self.scan.setText(pattern)
        asking = "suggest" in session.busy
        ready = session.has_engine and any(pair.state != "rejected" for pair in session.standing.pairs)
        self.ask.setText("Looking through the scan…" if asking else "Find frames to pair")
        self.ask.setEnabled(ready and not asking and bool(self.scan.text().strip()))
        known = session.coverage
        self.coverage.setVisible(known is not None)
        self.coverage.setText("" if known is None else f"The pairs know {known:.0%} of this scan's colours.")
        if session.suggestions != self._shown:
            self._fill(session.suggestions)

    def _fill(self, suggestions: tuple[Suggestion, ...]) -> None:
        self._shown = suggestions
        self.tree.clear()
        for one in suggestions:
            item = QtWidgets.QTreeWidgetItem(self.tree)
            known, gain = ("" if share is None else f"{share:.0%}" for share in (one.coverage, one.gain))
            for column, text in enumerate((str(one.frame), known, f"+{gain}" if gain else "", one.reason)):
                item.setText(column, text)
                item.setToolTip(column, text)
                if column < 3:
                    item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        for column in range(len(_COLUMNS) - 1):
            self.tree.resizeColumnToContents(column)
            self.tree.setColumnWidth(column, self.tree.columnWidth(column) + em(self))

    def _ask(self) -> None:
        if self.ask.isEnabled():
            self._session.suggest(self.scan.text().strip())
