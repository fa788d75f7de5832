"""A client of the inference server: one connection, for one thread at a time.

    with connect() as client:
        layout = lay_out(frames=1, width=1920, height=1080)
        memory = client.memory(layout.bytes)
        ...  # the window, planar float32, goes to memory.map at layout.input
        restored = client.render(memory, 1920, 1080, [1001], model, layout=layout)

Several requests may be under way: :meth:`Client.ask` each, then :meth:`Client.answer` each.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from wetgate import __version__
from wetgate.errors import WetgateError
from wetgate.service import memory
from wetgate.service.channel import Channel
from wetgate.service.layout import Layout, lay_out
from wetgate.service.memory import Segment
from wetgate.service.places import Places, find_places
from wetgate.service.protocol import (
    CLOSED,
    NEED_DATA,
    VERSION,
    Cancel,
    Code,
    Connection,
    Describe,
    Device,
    Error,
    Forget,
    Hello,
    LocalProtocolError,
    Memory,
    Message,
    Model,
    RemoteProtocolError,
    Render,
    RenderFile,
    Restored,
    Status,
    StatusIs,
    Stop,
    Welcome,
)
from wetgate.service.starting import Starter

POLL_S = 0.02
"""How often a request that is waited for looks whether it was given up."""
PATIENCE_S = 20.0
"""How long a server may take to start, and to answer what needs no computing."""

Cancelled = Callable[[], bool]
Answer = TypeVar("Answer", bound=Message)
_ENDED = "The inference server has ended: try again, and a new one will be started."
_UNREADABLE = "What the inference server says of itself cannot be read."
_DEVICES = {"auto": Device.AUTO, "cpu": Device.CPU, "cuda": Device.CUDA}


class ServerError(WetgateError):
    """The server's answer to a request was an ERROR: its sentence, and its code for programs."""

    def __init__(self, code: Code, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class ServerGone(WetgateError):
    """The connection has ended, and with it this client: connect again."""


def connect(
    *,
    start: bool = True,
    command: Sequence[str] | None = None,
    patience_s: float = PATIENCE_S,
    places: Places | None = None,
) -> Client:
    """Connect to this user's server, which is started where none runs.

    Args:
        start: whether one may be started.
        command: what ``serve`` is added to, to start one; otherwise see :func:`find_command`.
        patience_s: how long it may take.
        places: where the server is, if not where the environment says.

    Raises:
        ServerError: the server refuses this client.
        WetgateError: no server runs, or none could be started.
    """
    places = places or find_places()
    starter = Starter(places, command if start else (), patience_s)
    while True:
        channel = starter.channel()
        try:
            return Client(channel, places, patience_s=starter.remaining_s)
        except ServerGone:
            starter.pause()
        except ServerError as error:
            if error.code is not Code.CLOSING:
                raise
            starter.pause()


class Client:
    """A connection to the server. Made by :func:`connect`.

    Attributes:
        server: what the server said of itself.

    Every method may raise:
        ServerError: the server's answer was an ERROR.
        ServerGone: the server has ended, or did not answer in time; this client is closed.
    """

    server: Welcome

    def __init__(self, channel: Channel, places: Places, *, patience_s: float = PATIENCE_S) -> None:
        self._channel = channel
        self._places = places
        self._connection = Connection("client", descriptors=channel.carries_descriptors)
        self._answers: dict[int, Message] = {}
        self._last_request = 0
        self._memories: dict[int, Segment] = {}
        try:
            self._send(Hello(VERSION, VERSION, os.getpid(), channel.token, f"wetgate {__version__}"), 0)
            self.server = _of(Welcome, self._next_answer(0, None, time.monotonic() + patience_s))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; the server gives up its requests and its memories, and so does this side."""
        self._channel.close()
        for descriptor in self._connection.take_descriptors():
            os.close(descriptor)
        for segment in self._memories.values():
            segment.close()
        self._memories.clear()

    # What a client wants

    def describe(self, model: str | os.PathLike[str], *, timeout_s: float = 60.0) -> Model:
        """What a model file is and needs."""
        return _of(Model, self.answer(self.ask(Describe(_path(model))), timeout_s=timeout_s))

    def memory(self, size: int) -> Segment:
        """Memory of so many bytes that the server maps too, for :meth:`render`."""
        segment = memory.create(size, self._places)
        taken = self._memories.keys()
        segment.number = next(number for number in range(1, len(taken) + 2) if number not in taken)
        try:
            message = Memory(segment.number, size, segment.name)
            self.answer(self.ask(message, descriptor=segment.descriptor))
        except BaseException:
            segment.close()
            raise
        segment.close_descriptor()
        self._memories[segment.number] = segment
        return segment

    def forget(self, segment: Segment) -> None:
        """Give memory back, on both sides."""
        self.answer(self.ask(Forget(segment.number)))
        self._memories.pop(segment.number).close()

    def render(
        self,
        segment: Segment,
        width: int,
        height: int,
        numbers: Sequence[int],
        model: str | os.PathLike[str],
        *,
        layout: Layout | None = None,
        device: str = "auto",
        may_hold_nan: bool = False,
        curves: str | os.PathLike[str] = "",
        cancelled: Cancelled | None = None,
        timeout_s: float | None = None,
    ) -> Restored:
        """Restore the frame whose window lies in that memory.

        Args:
            segment: from :meth:`memory`; left alone until this returns.
            width: of the picture.
            height: of the picture.
            numbers: the window's frames in the scan, oldest first.
            model: the model file.
            layout: where the parts lie; otherwise as :func:`lay_out` has them, without coverage.
            device: "auto", "cpu" or "cuda".
            may_hold_nan: whether the window may hold NaN or infinity.
            curves: a file of exposure curves.
            cancelled: looked at every 20 ms; true gives the request up.
            timeout_s: how long it may take; None for as long as the server lives.
        """
        where = layout or lay_out(len(numbers), width, height)
        message = Render(
            memory=segment.number,
            width=width,
            height=height,
            device=_device(device),
            may_hold_nan=may_hold_nan,
            input=where.input,
            output=where.output,
            coverage=where.coverage,
            model=_path(model),
            curves=_path(curves) if curves else "",
            numbers=tuple(numbers),
        )
        return _of(Restored, self.answer(self.ask(message), cancelled=cancelled, timeout_s=timeout_s))

    def render_file(
        self,
        scans: Sequence[str | os.PathLike[str]],
        output: str | os.PathLike[str],
        model: str | os.PathLike[str],
        *,
        mask: str | os.PathLike[str] = "",
        curves: str | os.PathLike[str] = "",
        numbers: Sequence[int] = (),
        device: str = "auto",
        cancelled: Cancelled | None = None,
        timeout_s: float | None = None,
    ) -> Restored:
        """Restore a frame from the files of its window, oldest first, into a file; otherwise as :meth:`render`.

        ``numbers`` are the frames of those files in the scan, which ``curves`` need.
        """
        message = file_request(scans, output, model, mask=mask, curves=curves, numbers=numbers, device=device)
        return _of(Restored, self.answer(self.ask(message), cancelled=cancelled, timeout_s=timeout_s))

    def status(self) -> dict[str, Any]:
        """What the server does."""
        told = _of(StatusIs, self.answer(self.ask(Status())))
        try:
            status = json.loads(told.json)
        except ValueError as error:
            raise self._gone(_UNREADABLE) from error
        if not isinstance(status, dict):
            raise self._gone(_UNREADABLE)
        return status

    def stop(self) -> None:
        """End the server, and come back when it has closed this connection, or after 20 s."""
        self.answer(self.ask(Stop()))
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            received = self._channel.receive(POLL_S)
            if received is not None and not received.data:
                break
        self.close()

    # How it is asked

    def ask(self, message: Message, *, descriptor: int | None = None) -> int:
        """Send a request; its number, for :meth:`answer`.

        Raises:
            WetgateError: it cannot be said, or too many are open.
        """
        self._last_request = self._last_request % (2**32 - 1) + 1
        self._send(message, self._last_request, descriptor)
        return self._last_request

    def answer(
        self, request: int, *, cancelled: Cancelled | None = None, timeout_s: float | None = PATIENCE_S
    ) -> Message:
        """Wait for the answer to a request; each can be had once.

        Args:
            request: from :meth:`ask`.
            cancelled: looked at every 20 ms; true gives the request up, and the answer to that is waited for.
            timeout_s: how long to wait; None for as long as the server lives.
        """
        if request not in self._connection.open_requests and request not in self._answers:
            raise ValueError(f"request {request} was not asked, or its answer was had")
        give_up = None if timeout_s is None else time.monotonic() + timeout_s
        return self._next_answer(request, cancelled, give_up)

    def _next_answer(self, request: int, cancelled: Cancelled | None, give_up: float | None) -> Message:
        while request not in self._answers:
            if cancelled is not None and cancelled():
                self.cancel(request)
                cancelled = None
            remaining_s = None if give_up is None else give_up - time.monotonic()
            if remaining_s is not None and remaining_s <= 0:
                raise self._gone("The inference server did not answer in time.")
            self._receive(remaining_s if cancelled is None else min(POLL_S, remaining_s or POLL_S))
        answer = self._answers.pop(request)
        if isinstance(answer, Error):
            raise ServerError(answer.code, answer.sentence)
        return answer

    def cancel(self, request: int) -> None:
        """Give a request up: its answer will be ERROR ``CANCELLED``, or as if nothing had been."""
        if request in self._connection.open_requests:
            self._last_request = self._last_request % (2**32 - 1) + 1
            self._send(Cancel(request), self._last_request)

    def _send(self, message: Message, request: int, descriptor: int | None = None) -> None:
        if self._channel.fileno() < 0:
            raise ServerGone(_ENDED)
        try:
            data = self._connection.send(message, request)
        except LocalProtocolError as error:
            raise WetgateError(f"The inference server cannot be asked this: {error}.") from error
        try:
            self._channel.send(data, descriptor)
        except OSError as error:
            with contextlib.suppress(ServerGone):
                self._receive(0.0)  # why it has ended, if it told
            raise self._gone(_ENDED) from error

    def _receive(self, timeout_s: float | None) -> None:
        """Take in what arrives within that time."""
        received = self._channel.receive(timeout_s)
        if received is None:
            return
        self._connection.receive_data(received.data, received.descriptors)
        try:
            event = self._connection.next_event()
            while event is not NEED_DATA:
                if event is CLOSED:
                    raise self._gone(_ENDED)
                if isinstance(event.message, Error) and (event.request == 0 or event.message.code.ends_connection):
                    self.close()
                    raise ServerError(event.message.code, event.message.sentence)
                self._answers[event.request] = event.message
                event = self._connection.next_event()
        except RemoteProtocolError as error:
            raise self._gone(f"The inference server said something that cannot be understood: {error}.") from error

    def _gone(self, sentence: str) -> ServerGone:
        self.close()
        return ServerGone(sentence)


def file_request(
    scans: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    model: str | os.PathLike[str],
    *,
    mask: str | os.PathLike[str] = "",
    curves: str | os.PathLike[str] = "",
    numbers: Sequence[int] = (),
    device: str = "auto",
) -> RenderFile:
    """What :meth:`Client.render_file` asks, for :meth:`Client.ask`."""
    return RenderFile(
        device=_device(device),
        model=_path(model),
        output=_path(output),
        mask=_path(mask) if mask else "",
        curves=_path(curves) if curves else "",
        numbers=tuple(numbers or range(len(scans))),
        scans=tuple(map(_path, scans)),
    )


def _device(name: str) -> Device:
    try:
        return _DEVICES[name]
    except KeyError:
        raise WetgateError(f"'{name}' is no device: choose one of {', '.join(_DEVICES)}.") from None


def _path(path: str | os.PathLike[str]) -> str:
    """Absolute, as the server needs it."""
    absolute = os.path.abspath(path)
    try:
        absolute.encode("utf-8")
    except UnicodeEncodeError:
        raise WetgateError(f"The name {absolute!r} is not UTF-8: rename the file or its folder.") from None
    return absolute


def _of(kind: type[Answer], answer: Message) -> Answer:
    """The connection has checked already that the answer suits the request."""
    assert isinstance(answer, kind)
    return answer
