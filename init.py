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
    import wetgate

    for _each in (nuke_plugin, wetgate):
        if os.path.dirname(os.path.dirname(os.path.realpath(_each.__file__ or ""))) != _root:
            _words = (_each.__file__ or _each.__path__[0], _each.__name__)
            raise ImportError("%s is another package named %s: take it off NUKE_PATH and PYTHONPATH" % _words)
    import nuke_plugin.starting

    nuke_plugin.starting.everywhere(_root)
except Exception as _error:
    print("Wetgate is not loaded: %s." % _error)
