"""Nuke as the panel's desk: where pairs come from and restore nodes go (see :class:`nuke_plugin.session.Desk`)."""

from __future__ import annotations

import contextlib

from nuke_plugin import collecting, host
from nuke_plugin.restores import restores_of
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

        It knows the restoration too, so that it can follow a training. Where the Viewer shows, or is selected, what
        another node of this restoration has restored, both are below the same scan.
        """
        above = host.viewed_scan()
        shown = above or next(iter(host.selected()), "")
        there = restores_of(shown, folder) if shown else []
        group = shown.rpartition(".")[0]
        there = [name for name in there if name.rpartition(".")[0] == group]
        if not there:
            return host.create_restore(model, above=above, restoration=folder)
        above = host.input_of(there[-1], 0)
        if above is None:
            raise WetgateError(f"{there[-1]} has no scan: connect it to the input named Source.")
        return host.create_restore(model, above=above, beside=there[-1], restoration=folder)

    def scan_pattern(self) -> str:
        """The files of the scan that the Viewer shows; "" where there are none, or where their pixels are others."""
        with contextlib.suppress(WetgateError):  # of a clone, its own are not known
            scan = host.viewed_scan()
            if scan and host.is_as_in_files(scan):
                return host.source_files(scan)[0]
        return ""
