"""Nuke as the panel's desk: where pairs come from and restore nodes go (see :class:`nuke_plugin.session.Desk`)."""

from __future__ import annotations

import contextlib

from nuke_plugin import collecting, host
from wetgate.errors import WetgateError


class NukeDesk:
    """The graph of the running Nuke."""

    why_not = ""

    def from_viewer(self, folder: str) -> str:
        """Take what the Viewer shows, a pair or a scan; what was done, in a sentence."""
        try:
            return str(collecting.add_from_viewer(folder))
        except host.Cancelled:
            raise WetgateError("Cancelled; nothing was added.") from None

    def create_restore(self, model: str, folder: str) -> str:
        """Make a restore node with this model, below the scan that the Viewer shows; its name.

        It knows the restoration too, so that it can follow a training.
        """
        return host.create_restore(model, above=host.viewed_scan(), restoration=folder)

    def scan_pattern(self) -> str:
        """The files of the scan that the Viewer shows; "" where there are none, or where their pixels are others."""
        with contextlib.suppress(WetgateError):  # of a clone, its own are not known
            scan = host.viewed_scan()
            if scan and host.is_as_in_files(scan):
                return host.source_files(scan)[0]
        return ""
