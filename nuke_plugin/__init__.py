"""Wetgate inside Nuke: the standard library and Qt only, Python 3.9 and newer; the engine has processes of its own."""
