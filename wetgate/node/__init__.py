"""The inference node, an OpenFX plug-in in C: building it from its sources and putting it where hosts find it.

What runs inside the host is in ``ofx/``. This package uses the standard library only, so that the wheel's build can use
it before anything is installed.
"""
