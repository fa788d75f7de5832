"""Nuke runs this after init.py where it has windows; all of it is in nuke_plugin/starting.py."""

try:
    import os
    import sys

    _starting = sys.modules.get("nuke_plugin.starting")  # where it is missing, init.py has said why
    if _starting and os.path.dirname(os.path.realpath(__file__)) == getattr(_starting, "root", ""):
        _starting.with_windows()
except Exception as _error:
    print("Wetgate has no menu: %s." % _error)
