"""A node's frames restored in the background: through the inference server, and back as a Read.

Where the scan is a Read that leaves its files as they are, the server takes these, and Nuke has nothing to do. Others
leave the graph first, in Nuke's main thread and under a progress window, for Nuke gives them nowhere else; the written
frames lie beside the results and go with the job, whatever becomes of it. What takes long, the model, works while the
artist goes on.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from nuke_plugin import host
from nuke_plugin.errand import Ended, Errand, Say
from nuke_plugin.restoring import frame_name, render_files
from wetgate.errors import WetgateError
from wetgate.service.client import connect
from wetgate.service.protocol import Model


@dataclass(frozen=True)
class Order:
    """What is to be restored.

    Attributes:
        model: the model's file.
        scan: the node whose frames are restored.
        mask: the node whose alpha says where; None for everywhere.
        first: the first frame.
        last: the last frame.
        output: the files to write, as ``folder/shot.####.exr``.
        view: which view of the script.
        device: "auto", "cpu" or "cuda".
        curves: the file of the scan's exposure curves; "" for a steady scan.
        offset: added to Nuke's frame to get a frame's number in the scan.
    """

    model: str
    scan: str
    mask: Optional[str]
    first: int
    last: int
    output: str
    view: str = ""
    device: str = "auto"
    curves: str = ""
    offset: int = 0

    @property
    def frames(self) -> range:
        return range(self.first, self.last + 1)


class Job:
    """One order at work.

    Args:
        order: what is to be restored.
        say: told how it stands.
        ended: told the name of the Read in the end, None where there is none.
    """

    def __init__(self, order: Order, say: Say, ended: Ended) -> None:
        self._order, self._errand = order, Errand(say, ended)
        self._script = host.opening()
        self._cancelled = threading.Event()
        self._files: dict[str, dict[int, str]] = {}

    def start(self) -> None:
        """Begin, and come back at once.

        Raises:
            WetgateError: the order makes no sense or its folder cannot be written.
        """
        order = self._order
        frame_name(order.output, order.first)
        if not order.frames:
            raise WetgateError("The last frame comes before the first: choose the frames to restore again.")
        if order.mask:
            host.require_alpha(order.mask)
        self._errand.begin(order.output, order.scan, order.mask)
        self._errand.say("Reading the model.")
        self._in_thread(self._describe)

    def cancel(self) -> None:
        """End it soon; frames that are done stay."""
        self._cancelled.set()

    # In a thread

    def _describe(self) -> None:
        with connect() as client:
            model = client.describe(self._order.model)
        host.in_main_thread(self._step, self._write, model)

    def _restore(self) -> None:
        order = self._order

        def follow(done: int, total: int, frame: int) -> None:
            host.in_main_thread(self._errand.say, f"{done} of {total} frames are restored.")

        outcome = render_files(
            order.model,
            self._files["scan"],
            order.output,
            frames=order.frames,
            mask=self._files.get("mask"),
            curves=order.curves,
            offset=order.offset,
            device=order.device,
            follow=follow,
            cancelled=self._cancelled.is_set,
        )
        host.in_main_thread(self._step, self._read, list(outcome.made))

    # In Nuke's main thread

    def _write(self, model: Model) -> None:
        """Have files of the scan's frames, those around them that the model looks at, and the mask's."""
        if host.opening() != self._script:  # nodes of the same names are others there
            raise host.Cancelled
        order = self._order
        first, last = host.frame_range(order.scan)
        before = range(max(first, order.first - model.radius), order.first)
        after = range(order.last + 1, min(last, order.last + model.radius) + 1)
        around = [*before, *order.frames, *after]
        with host.full_resolution(), contextlib.ExitStack() as there:
            self._files["scan"] = host.files_of(order.scan, around, order.view)
            wanted = {} if self._files["scan"] else {"scan": (order.scan, around)}
            if order.mask:
                wanted["mask"] = (there.enter_context(host.matte(order.mask)), list(order.frames))
            if wanted:
                self._render(wanted)
        self._errand.say("The server is restoring.")
        self._in_thread(self._restore)

    def _render(self, wanted: Mapping[str, tuple[str, Sequence[int]]]) -> None:
        """Write frames of nodes; the names are those of their files."""
        total, written = sum(len(frames) for _, frames in wanted.values()), 0
        with host.progress("Wetgate: frames for the restoration") as window:
            for name, (node, frames) in wanted.items():
                pattern = str(self._errand.scratch() / f"{name}.####.exr")

                def follow(done: int, of: int, text: str, already: int = written) -> bool:
                    return window.update((already + done) / total, text) or self._cancelled.is_set()

                host.write_frames(node, frames, pattern, view=self._order.view, follow=follow)
                self._files[name] = {frame: frame_name(pattern, frame) for frame in frames}
                written += len(frames)

    def _read(self, made: list[int]) -> None:
        if not made:
            raise host.Cancelled
        if host.opening() != self._script:
            self._errand.end("Done.")
            host.tell(f"The restored frames are {self._order.output}; the script that asked for them was closed.")
            return
        beside = self._order.scan if host.has_node(self._order.scan) else None
        read = host.create_read(self._order.output, made[0], made[-1], "raw", beside=beside)
        what = "Cancelled; what was done" if self._cancelled.is_set() else "Done; it"
        self._errand.end(f"{what} is in {read}.", read)

    # From step to step

    def _in_thread(self, step: Callable[[], None]) -> None:
        def work() -> None:
            try:
                step()
            except Exception as error:  # whatever it is, the written frames must go
                host.in_main_thread(self._errand.fail, str(error))

        threading.Thread(target=work, name="wetgate-background", daemon=True).start()

    def _step(self, step: Callable[..., None], *arguments: object) -> None:
        try:
            if self._cancelled.is_set() and not self._files:
                raise host.Cancelled
            step(*arguments)
        except host.Cancelled:
            self._errand.end("Cancelled.")
        except Exception as error:  # as above
            self._errand.fail(str(error))
