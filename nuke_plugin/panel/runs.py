"""The runs: what was trained, what came of it, notes, and two of them side by side."""

from __future__ import annotations

from typing import Optional

from nuke_plugin import words
from nuke_plugin.panel import theme
from nuke_plugin.panel.delivery import Pictures
from nuke_plugin.panel.overlay import OverlayBar
from nuke_plugin.panel.qt import Qt, QtGui, QtWidgets, em, named, open_file, scaled, turned
from nuke_plugin.session import Session
from nuke_plugin.standing import RunStanding

_COLUMNS = ("Run", "State", "Protects", "Time", "ΔE before", "ΔE after", "Note")
_NUMBER = Qt.ItemDataRole.UserRole


class RunsPage(QtWidgets.QWidget):
    """One run chosen shows its numbers and its note, two are compared."""

    def __init__(self, session: Session, pictures: Pictures, parent: Optional[QtWidgets.QWidget] = None) -> None:
        super().__init__(parent)
        self._session = session
        self._shown: tuple[RunStanding, ...] = ()
        self._noted: Optional[int] = None
        self.tree = QtWidgets.QTreeWidget()
        self.tree.setColumnCount(len(_COLUMNS))
        self.tree.setHeaderLabels(list(_COLUMNS))
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode.ExtendedSelection)
        named(self.tree, "Runs", "Choose one to note something, two (with Ctrl) to compare them")
        self.tree.itemSelectionChanged.connect(self.refresh_chosen)
        self.note = QtWidgets.QLineEdit()
        self.note.setPlaceholderText("Note about the chosen run, for example what was tried and what the client said")
        named(self.note, "Note about the run")
        self.note.editingFinished.connect(self._keep_note)
        self.node = QtWidgets.QPushButton("Node of this run")
        named(self.node, "Create restore node with this run's model", "Use the model of the chosen run")
        theme.tooltips_on(self.node)
        self.node.clicked.connect(self._create)
        self.report = QtWidgets.QPushButton("Report of this run")
        named(self.report, "Open the chosen run's report", "Pictures, measures and limits, in the browser")
        self.report.clicked.connect(self._open_report)
        self.table = QtWidgets.QTreeWidget()
        self.table.setColumnCount(3)
        self.table.setRootIsDecorated(False)
        self.table.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode.NoSelection)
        header, mode = self.table.header(), QtWidgets.QHeaderView.ResizeMode
        header.setStretchLastSection(False)
        for column, how in enumerate((mode.ResizeToContents, mode.Stretch, mode.Stretch)):
            header.setSectionResizeMode(column, how)
        named(self.table, "Comparison of two runs")
        self.stage = OverlayBar(pictures)
        self.hint = theme.dimmed(QtWidgets.QLabel("Choose two runs (Ctrl or Shift and click) to compare them."))
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)

        buttons = QtWidgets.QHBoxLayout()
        buttons.addWidget(self.report)
        buttons.addWidget(self.node)
        self._rows = QtWidgets.QHBoxLayout()
        self._rows.addWidget(self.note, 1)
        self._rows.addLayout(buttons)
        self.compared = QtWidgets.QSplitter(Qt.Orientation.Horizontal)
        self.compared.addWidget(self.table)
        self.compared.addWidget(self.stage)
        self.compared.setSizes([26 * em(self), 26 * em(self)])
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.tree, 1)
        layout.addLayout(self._rows)
        layout.addWidget(self.hint)
        layout.addWidget(self.compared, 2)

    def set_narrow(self, narrow: bool) -> None:
        turned(self._rows, narrow)
        self.compared.setOrientation(Qt.Orientation.Vertical if narrow else Qt.Orientation.Horizontal)

    def chosen(self) -> list[RunStanding]:
        numbers = sorted(int(item.data(0, _NUMBER)) for item in self.tree.selectedItems())
        found = (self._session.standing.run(number) for number in numbers)
        return [run for run in found if run is not None]

    def refresh(self) -> None:
        runs = self._session.standing.runs
        if runs != self._shown:
            self._fill(runs)
        self.refresh_chosen()

    def _fill(self, runs: tuple[RunStanding, ...]) -> None:
        chosen = {run.number for run in self.chosen()}
        same = [run.number for run in runs] == [run.number for run in self._shown]
        self._shown = runs
        self.tree.blockSignals(True)
        if not same:
            self.tree.clear()
            for run in reversed(runs):
                item = QtWidgets.QTreeWidgetItem(self.tree)
                item.setData(0, _NUMBER, run.number)
                item.setSelected(run.number in chosen)
            first = self.tree.topLevelItem(0)
            if not chosen and first is not None:
                self.tree.setCurrentItem(first)
        for row, run in enumerate(reversed(runs)):
            item = self.tree.topLevelItem(row) or QtWidgets.QTreeWidgetItem(self.tree)
            for column, text in enumerate(_cells(run)):
                item.setText(column, text)
                if 3 <= column <= 5:
                    item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            item.setForeground(1, QtGui.QBrush(theme.STATE_COLOURS.get(run.state, theme.NEW)))
        if not same:
            for column in range(len(_COLUMNS) - 1):
                self.tree.resizeColumnToContents(column)
        self.tree.blockSignals(False)

    def refresh_chosen(self) -> None:
        chosen, desk = self.chosen(), self._session.desk
        one = chosen[0] if len(chosen) == 1 else None
        number = one.number if one is not None else None
        if number != self._noted:
            self._keep_note()
            self._noted = number
            self.note.setText(one.note if one is not None else "")
        elif one is not None and not self.note.hasFocus():
            self.note.setText(one.note)
        self.note.setEnabled(one is not None)
        self.report.setEnabled(one is not None and one.report is not None)
        self.node.setEnabled(one is not None and one.model is not None and not desk.why_not)
        if desk.why_not:
            self.node.setToolTip(desk.why_not)
        two = len(chosen) == 2
        self.compared.setVisible(two)
        self.hint.setVisible(not two and len(self._shown) > 1)
        if two:
            self._compare(chosen[0], chosen[1])

    def _compare(self, first: RunStanding, second: RunStanding) -> None:
        lines = self._session.compare(first.number, second.number)
        self.table.clear()
        self.table.setHeaderLabels(["", f"Run {first.number}", f"Run {second.number}"])
        for line in lines:
            item = QtWidgets.QTreeWidgetItem(self.table, [line.name, *line.values])
            for column in (0, 1, 2):
                item.setToolTip(column, item.text(column))
            if line.better is not None:
                item.setFont(line.better + 1, scaled(self.font(), 1.0, bold=True))
                item.setForeground(line.better + 1, QtGui.QBrush(theme.GOOD))
        self.stage.overlay.show_layers(
            (f"Run {first.number}", first.after or first.strip),
            (f"Run {second.number}", second.after or second.strip),
            "These runs have left no pictures.",
        )
        frames = [run.preview_pair for run in (first, second)]
        same = frames[0] == frames[1]
        self.stage.caption.setText("" if same else "The runs show different frames: their pictures are of two pairs.")

    def _keep_note(self) -> None:
        if self._noted is not None:
            self._session.note(self._noted, self.note.text().strip())

    def _create(self) -> None:
        for run in self.chosen()[:1]:
            self._session.create_restore(run.number)

    def _open_report(self) -> None:
        for run in self.chosen()[:1]:
            if run.report is not None:
                open_file(run.report)


def _cells(run: RunStanding) -> tuple[str, ...]:
    measured = [run.measures.get(name, {}).get("delta_e") for name in ("scan", "restored")]
    return (
        f"{run.number:03d}",
        words.RUN_STATES.get(run.state, run.state),
        words.kept(run.settings),
        words.duration(words.seconds_since_start(run)),
        *("" if value is None else f"{value:.1f}" for value in measured),
        run.note,
    )
