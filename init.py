"""Nuke runs this at every start, windows or not; all of it is in nuke_plugin/starting.py. Any Python can read this."""

try:
    import os
    import sys

    if sys.version_info < (3, 9):
        raise ImportError("it needs Nuke 14 or newer; this one has Python %d.%d" % sys.version_info[:2])
    _root = os.path.dirname(os.path.realpath(__file__))
    if _root not in sys.path:
        sys.path.append(_root)
    import nuke_plugin

    if os.path.dirname(os.path.dirname(os.path.realpath(nuke_plugin.__file__ or ""))) != _root:
        raise ImportError("%s is another package named nuke_plugin: take it off NUKE_PATH" % nuke_plugin.__path__[0])
    import nuke_plugin.starting

    nuke_plugin.starting.everywhere(_root)
except Exception as _error:
    print("Wetgate is not loaded: %s." % _error)
