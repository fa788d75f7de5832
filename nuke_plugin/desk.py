"""Nuke as the panel's desk: where pairs come from and restore nodes go (see :class:`nuke_plugin.session.Desk`)."""

from __future__ import annotations

from nuke_plugin import collecting, host
from wetgate.errors import WetgateError


class NukeDesk:
    """The graph of the running Nuke."""

    why_not = ""

    def from_viewer(self, folder: str) -> str:
        """Take what the Viewer shows as a pair; what was done, in a sentence."""
        try:
            return str(collecting.add_from_viewer(folder))
        except host.Cancelled:
            raise WetgateError("Cancelled; nothing was added.") from None

    def create_restore(self, model: str, folder: str) -> str:
        """Make a restore node with this model, below the scan that the Viewer shows; its name.

        It knows the restoration too, so that it can follow a training.
        """
        looked = host.viewer()
        scan = looked.scan if looked else None
        name = host.create_restore(model, above=scan)
        host.set_knob(name, "restoration", host.as_text(folder))
        return name

    def scan_pattern(self) -> str:
        """The files of the scan that the Viewer shows; "" where there are none, or where their pixels are others."""
        looked = host.viewer()
        if looked is None or looked.scan is None or not host.is_as_in_files(looked.scan):
            return ""
        return host.source_files(looked.scan)[0]
