"""A server that does what a test says: for what the real one never does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from wetgate.service import memory
from wetgate.service.channel import Channel, listen
from wetgate.service.places import Places
from wetgate.service.protocol import (
    CLOSED,
    NEED_DATA,
    Cancel,
    Code,
    Connection,
    Describe,
    Done,
    Error,
    Forget,
    Hello,
    Memory,
    Model,
    RemoteProtocolError,
    Render,
    Restored,
    Welcome,
)

MODEL = Model(0, False, 0, "ab" * 32, "color", "display", "", "", "test", "")
RESTORED = Restored(1, 32, False, 1, 1000, 2000, "ab" * 32)

Answer = Callable[["Conversation", int], None]


class Conversation:
    """One connection, served in a thread of its own; ``render`` and ``cancel`` are called with a request's number."""

    def __init__(self, server: ScriptedServer, channel: Channel) -> None:
        self.server, self.channel = server, channel
        self.connection = Connection("server", descriptors=channel.carries_descriptors)
        self.waiting: list[int] = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def say(self, message, request: int = 0) -> None:
        self.channel.send(self.connection.send(message, request))

    def _serve(self) -> None:
        try:
            while (event := self.connection.next_event()) is not CLOSED:
                if event is NEED_DATA:
                    received = self.channel.receive()
                    self.connection.receive_data(received.data, received.descriptors)
                else:
                    self._answer(event)
        except (RemoteProtocolError, ConnectionError, OSError):
            pass
        self.server.ended.release()
        self.channel.close()

    def _answer(self, event) -> None:
        server = self.server
        server.asked.append(type(event.message))
        if isinstance(event.message, Hello):
            self.say(Welcome(1, os.getpid(), "scripted"))
        elif isinstance(event.message, Describe):
            server.describe(self, event.request)
        elif isinstance(event.message, Memory):
            memory.attach(event.message.bytes, descriptor=event.descriptor, name=event.message.name).close()
            self.say(Done(), event.request)
        elif isinstance(event.message, Forget):
            self.say(Done(), event.request)
        elif isinstance(event.message, Render):
            self.waiting.append(event.request)
            server.render(self, event.request)
        elif isinstance(event.message, Cancel):
            server.cancel(self, event.message.target)


class ScriptedServer:
    """Listens at ``places``.

    Attributes:
        model: what DESCRIBE is answered with, a message.
        describe, render, cancel: what is done then.
        asked: the kinds of all messages. ``ended`` is released once for each connection that has ended.
    """

    def __init__(self, places: Places) -> None:
        self.model = MODEL
        self.describe: Answer = lambda talk, request: talk.say(self.model, request)
        self.render: Answer = lambda talk, request: talk.say(RESTORED, request)
        self.cancel: Answer = lambda talk, request: talk.say(Error(Code.CANCELLED, "Given up."), request)
        self.asked: list[type] = []
        self.ended = threading.Semaphore(0)
        self.conversations: list[Conversation] = []
        self._listener = listen(places)
        self._closing = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self._closing:
            channel = self._listener.accept(0.05)
            if channel is not None:
                self.conversations.append(Conversation(self, channel))

    def close(self) -> None:
        self._closing = True
        self._thread.join(30)
        self._listener.close()
        for talk in self.conversations:
            talk.channel.shut_down()
            talk.thread.join(30)
