"""Colours: the host's own palette where there is a host, else a dark one; and the few that mean something."""

from __future__ import annotations

from nuke_plugin.panel.qt import Qt, QtGui, QtWidgets

Colour = QtGui.QColor
Role = QtGui.QPalette.ColorRole
Group = QtGui.QPalette.ColorGroup

GOOD, BAD, NEW, WORK = Colour(104, 166, 118), Colour(206, 98, 82), Colour(132, 140, 150), Colour(226, 160, 74)
STATE_COLOURS = {
    "accepted": GOOD,
    "prepared": GOOD,
    "rejected": BAD,
    "damaged": BAD,
    "collected": NEW,
    "waiting": WORK,
    "preparing": WORK,
    "training": WORK,
    "paused": NEW,
    "finished": GOOD,
    "stopped": NEW,
    "failed": BAD,
    "interrupted": BAD,
}
LOSS, HELD_OUT = Colour(128, 160, 196), Colour(236, 172, 88)
BACKDROP = Colour(24, 24, 24)
"""Behind pictures: neutral, and darker than they are."""


def dark_palette() -> QtGui.QPalette:
    """Greys near those of compositing programs, for when there is no host."""
    palette = QtGui.QPalette()
    for role, colour in (
        (Role.Window, Colour(50, 50, 50)),
        (Role.WindowText, Colour(214, 214, 214)),
        (Role.Base, Colour(38, 38, 38)),
        (Role.AlternateBase, Colour(44, 44, 44)),
        (Role.Text, Colour(214, 214, 214)),
        (Role.Button, Colour(70, 70, 70)),
        (Role.ButtonText, Colour(222, 222, 222)),
        (Role.BrightText, Colour(255, 255, 255)),
        (Role.Light, Colour(90, 90, 90)),
        (Role.Midlight, Colour(76, 76, 76)),
        (Role.Mid, Colour(60, 60, 60)),
        (Role.Dark, Colour(34, 34, 34)),
        (Role.Shadow, Colour(20, 20, 20)),
        (Role.Highlight, Colour(200, 130, 50)),
        (Role.HighlightedText, Colour(20, 20, 20)),
        (Role.ToolTipBase, Colour(64, 64, 64)),
        (Role.ToolTipText, Colour(222, 222, 222)),
        (Role.PlaceholderText, Colour(140, 140, 140)),
        (Role.Link, Colour(226, 160, 74)),
    ):
        palette.setColor(role, colour)
    for role in (Role.WindowText, Role.Text, Role.ButtonText):
        palette.setColor(Group.Disabled, role, Colour(122, 122, 122))
    palette.setColor(Group.Disabled, Role.Highlight, Colour(84, 84, 84))
    return palette


def use_without_host(application: QtWidgets.QApplication) -> None:
    """Look alike on every system."""
    application.setStyle("Fusion")
    application.setPalette(dark_palette())


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """``share`` of the other, 0-1."""
    return Colour(
        *(
            round(a + (b - a) * share)
            for a, b in ((one.red(), other.red()), (one.green(), other.green()), (one.blue(), other.blue()))
        )
    )


def dim(palette: QtGui.QPalette) -> Colour:
    """For text that explains."""
    return mix(palette.color(Role.WindowText), palette.color(Role.Window), 0.35)


def line(palette: QtGui.QPalette) -> Colour:
    """For rules and frames."""
    return mix(palette.color(Role.Window), palette.color(Role.WindowText), 0.1)


def dimmed(label: QtWidgets.QLabel) -> QtWidgets.QLabel:
    """Make a label one that explains."""
    palette = QtGui.QPalette(label.palette())
    palette.setColor(Role.WindowText, dim(label.palette()))
    label.setPalette(palette)
    return label


def sheet(palette: QtGui.QPalette) -> str:
    """What a palette cannot say: the main button, sections, chips, tabs without frames."""
    text, window, base = palette.color(Role.WindowText), palette.color(Role.Window), palette.color(Role.Base)
    highlight, on_highlight = palette.color(Role.Highlight), palette.color(Role.HighlightedText)
    button, rule = palette.color(Role.Button), line(palette)
    faint = mix(window, text, 0.45)
    return f"""
    QPushButton, QToolButton {{
        background: {button.name()}; color: {palette.color(Role.ButtonText).name()};
        border: 1px solid {mix(window, Colour(0, 0, 0), 0.3).name()}; border-radius: 3px; padding: 4px 12px;
    }}
    QToolButton {{ padding: 4px 8px; }}
    QPushButton:hover, QToolButton:hover {{ background: {mix(button, text, 0.12).name()}; }}
    QPushButton:pressed, QToolButton:pressed, QToolButton:checked {{
        background: {mix(button, Colour(0, 0, 0), 0.3).name()};
    }}
    QToolButton:checked {{ border-color: {highlight.name()}; }}
    QPushButton:focus, QToolButton:focus {{ border-color: {highlight.name()}; }}
    QPushButton:disabled, QToolButton:disabled {{
        background: {mix(window, button, 0.35).name()}; color: {faint.name()}; border-color: {rule.name()};
    }}
    QPushButton[main="true"] {{
        background: {highlight.name()}; color: {on_highlight.name()}; border-color: {highlight.name()};
        font-weight: bold;
    }}
    QPushButton[main="true"]:hover, QPushButton[main="true"]:focus {{
        background: {mix(highlight, Colour(255, 255, 255), 0.18).name()};
    }}
    QPushButton[main="true"]:disabled {{
        background: {mix(window, button, 0.35).name()}; color: {faint.name()}; border-color: {rule.name()};
    }}
    QTabWidget::pane {{ border: 0; border-top: 1px solid {rule.name()}; }}
    QTabBar::tab {{
        background: transparent; color: {mix(text, window, 0.3).name()}; padding: 6px 14px; border: 0;
        border-bottom: 2px solid transparent;
    }}
    QTabBar::tab:selected {{ color: {text.name()}; border-bottom-color: {highlight.name()}; }}
    QTabBar::tab:hover {{ color: {text.name()}; }}
    QTabBar::tab:focus {{ color: {text.name()}; background: {mix(window, text, 0.08).name()}; }}
    QListView, QTreeView, QTableWidget, QPlainTextEdit {{
        background: {base.name()}; border: 1px solid {rule.name()}; border-radius: 3px; outline: 0;
    }}
    QListView:focus, QTreeView:focus, QTableWidget:focus, QPlainTextEdit:focus {{ border-color: {highlight.name()}; }}
    QHeaderView::section {{
        background: {mix(base, window, 0.5).name()}; color: {mix(text, window, 0.3).name()};
        border: 0; border-bottom: 1px solid {rule.name()}; padding: 4px 8px;
    }}
    QTreeView::item {{ padding: 4px 6px; }}
    QTreeView::item:selected {{ background: {mix(base, highlight, 0.28).name()}; color: {text.name()}; }}
    QProgressBar {{ background: {base.name()}; border: 0; border-radius: 3px; }}
    QProgressBar::chunk {{ background: {highlight.name()}; border-radius: 3px; }}
    QSplitter::handle {{ background: transparent; }}
    """


def tooltips_on(widget: QtWidgets.QWidget) -> None:
    """Show help on controls that are off, too: that is where one asks why."""
    widget.setAttribute(Qt.WidgetAttribute.WA_AlwaysShowToolTips)
