"""The panel: everything that is Qt, and nothing that is Nuke. It shows a :class:`nuke_plugin.session.Session`.

``python -m nuke_plugin.panel FOLDER`` opens it without a host. Importing this package imports no Qt.
"""
