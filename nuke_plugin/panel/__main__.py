"""The panel in a window of its own, without a host: ``python -m nuke_plugin.panel [FOLDER]``."""

from __future__ import annotations

import sys
from pathlib import Path

from nuke_plugin.panel import theme
from nuke_plugin.panel.qt import QtWidgets
from nuke_plugin.panel.window import Panel


def main(words: list[str]) -> int:
    application = QtWidgets.QApplication(sys.argv[:1])
    theme.use_without_host(application)
    panel = Panel(folder=Path(words[0]) if words else None)
    panel.show()
    run = getattr(application, "exec", None) or application.exec_
    return int(run())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
