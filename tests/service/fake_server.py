"""A server that answers what a test wants."""

from __future__ import annotations

import os
import threading

from wetgate.service import memory
from wetgate.service.channel import listen
from wetgate.service.protocol import (
    CLOSED,
    NEED_DATA,
    Connection,
    Done,
    Hello,
    Memory,
    RemoteProtocolError,
    Stop,
    Welcome,
)


class FakeServer:
    """A server in a thread, for one client after the other.

    ``answers`` maps a kind of message to its answer, to None for no answer yet, or to a function of the server
    and the event. ``events`` is what was asked.
    """

    def __init__(self, places, loopback=False):
        self.listener = listen(places, loopback=loopback)
        self.answers = {}
        self.events = []
        self.segments = {}
        self.channel = self.connection = None
        self._ended = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def say(self, message, request=0):
        self.channel.send(self.connection.send(message, request))

    def close(self):
        self._ended = True
        if self.channel is not None:
            self.channel.shut_down()
        self._thread.join(30)
        self.listener.close()
        assert not self._thread.is_alive()

    def _serve(self):
        while not self._ended:
            self.channel = self.listener.accept(0.05)
            if self.channel is not None:
                self.connection = Connection("server", descriptors=self.channel.carries_descriptors)
                try:
                    self._converse()
                except (RemoteProtocolError, ConnectionError):
                    pass
                finally:
                    for descriptor in self.connection.take_descriptors():
                        os.close(descriptor)
                    self.channel.close()

    def _converse(self):
        while True:
            event = self.connection.next_event()
            if event is CLOSED:
                return
            if event is NEED_DATA:
                received = self.channel.receive()
                self.connection.receive_data(received.data, received.descriptors)
                continue
            self.events.append(event)
            if self._answer(event) == "hang up":
                return

    def _answer(self, event):
        kind = type(event.message)
        answer = self.answers.get(kind, Done())
        if callable(answer):
            return answer(self, event)
        if kind is Hello:
            self.say(self.answers.get(Hello, Welcome(1, os.getpid(), "fake")))
        elif kind is Memory and isinstance(answer, Done):
            segment = memory.attach(event.message.bytes, descriptor=event.descriptor, name=event.message.name)
            self.segments[event.message.memory] = segment
            self.say(answer, event.request)
        elif answer is not None and event.request in self.connection.open_requests:
            self.say(answer, event.request)
        return "hang up" if kind is Stop else None
