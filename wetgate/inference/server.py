"""The inference server: one for a user and a machine, for every node, host and command line.

A thread reads each connection; frames are computed by one thread a device, in the order in which they came, so that
clients share sessions and memory. ``docs/inference-server.md`` is the contract.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from wetgate import __version__
from wetgate.errors import WetgateError
from wetgate.inference import rendering
from wetgate.inference.frames import Restored as RestoredFrame
from wetgate.inference.models import Models
from wetgate.inference.rendering import Refusal
from wetgate.inference.session import Stop, cuda_is_offered
from wetgate.project.locks import FileLock
from wetgate.service import memory as shared
from wetgate.service import protocol
from wetgate.service.channel import Channel, Listener, listen
from wetgate.service.places import Places
from wetgate.service.protocol import Code, Device, Event

IDLE_S = 600.0
"""A server without requests for so long ends and gives its memory back."""
HELLO_S = 5.0
MESSAGE_S = 30.0
MAX_CONNECTIONS = 256

_ACCEPT_S = 0.1
_FAREWELL_S = 5.0
_LOOKING_S = 0.02
_FILE_THREADS = 3
_ANSWER_S = 10.0
_LONGEST_NAME = 80
_NOT_NOW = "The inference server is ending: try again, and a new one starts."

log = logging.getLogger("wetgate.server")


class Server:
    """Serves until it is asked to stop or nobody has asked for anything for ``idle_s`` seconds.

    Args:
        places: its folder.
        idle_s: seconds without requests after which it ends.
    """

    def __init__(self, places: Places, idle_s: float = IDLE_S) -> None:
        self.models = Models()
        self.places = places
        self.stopping = threading.Event()
        self._idle_s = idle_s
        self._started = self._used = time.monotonic()
        self._computing = {name: ThreadPoolExecutor(1, f"wetgate-{name}") for name in ("cpu", "cuda")}
        self._filing = ThreadPoolExecutor(_FILE_THREADS, "wetgate-files")
        self._conversations: set[Conversation] = set()
        self._lock = threading.Lock()
        self._frames = 0

    def run(self) -> bool:
        """Serve; returns at the end. False where another server serves this user already.

        Raises:
            WetgateError: its folder is not private, or the system does not let it listen.
        """
        self.places.make()
        lock = FileLock(self.places.lock)
        if not _acquired(lock):
            return False
        try:
            listener = listen(self.places)
            try:
                log.info("wetgate %s serves in %s, process %d", __version__, self.places.folder, os.getpid())
                while not self.stopping.is_set() and not self._is_idle():
                    if not (listener.can_be_found() and lock.can_be_found()):
                        log.warning("the folder was removed, or what stood in it: clients start another server")
                        break
                    channel = listener.accept(_ACCEPT_S)
                    if channel is not None:
                        self._greet(channel, listener)
                self.stopping.set()
            finally:
                listener.close()
            self._say_farewell()
        finally:
            lock.release()
        return True

    def submit(self, device: Device, work: Callable[[], Any]) -> Future[Any]:
        """Have ``work`` done when the device's turn comes."""
        name = "cpu" if device is Device.CPU or not cuda_is_offered() else "cuda"
        return self._computing[name].submit(work)

    def submit_file(self, work: Callable[[], Any]) -> Future[Any]:
        """Have ``work``, which reads and writes files, done when there is room for its pictures."""
        return self._filing.submit(work)

    def note_use(self) -> None:
        """Somebody asked for something: the idle time starts anew."""
        self._used = time.monotonic()

    def note_frame(self) -> None:
        """A frame is done."""
        with self._lock:
            self._frames += 1

    def forget(self, conversation: Conversation) -> None:
        """A conversation is over."""
        with self._lock:
            self._conversations.discard(conversation)

    def status(self) -> dict[str, Any]:
        """What STATUS answers: process, devices, clients, models, as JSON writes it."""
        with self._lock:
            conversations = list(self._conversations)
        now = time.monotonic()
        return {
            "wetgate": __version__,
            "process": os.getpid(),
            "folder": str(self.places.folder),
            "log": str(self.places.log),
            "uptime_s": round(now - self._started, 1),
            "idle_s": round(now - self._used, 1),
            "ends_after_idle_s": self._idle_s,
            "cuda_offered": cuda_is_offered(),
            "frames": self._frames,
            "clients": [conversation.summary() for conversation in conversations],
            "models": [
                {"path": str(path), "sha256": loaded.sha256, "device": loaded.device, "bits": loaded.bits}
                for path, loaded in self.models.loaded()
            ],
        }

    def _greet(self, channel: Channel, listener: Listener) -> None:
        with self._lock:
            crowded = len(self._conversations) >= MAX_CONNECTIONS
        if crowded or self.stopping.is_set():
            channel.close()
            return
        conversation = Conversation(self, channel, listener)
        with self._lock:
            self._conversations.add(conversation)
        try:
            threading.Thread(target=conversation.hold, name="wetgate-client", daemon=True).start()
        except RuntimeError as error:  # its stack finds no memory: the others go on
            log.warning("a client was sent away: %s", error)
            conversation.release()

    def _is_idle(self) -> bool:
        with self._lock:
            busy = any(conversation.jobs for conversation in self._conversations)
        return not busy and time.monotonic() - self._used > self._idle_s

    def _say_farewell(self) -> None:
        """Let what is being computed come to its end, but not for long; then close every connection."""
        with self._lock:
            conversations = list(self._conversations)
        give_up = time.monotonic() + _FAREWELL_S
        while any(conversation.jobs for conversation in conversations) and time.monotonic() < give_up:
            time.sleep(0.02)
        for conversation in conversations:
            conversation.end()
        for executor in (*self._computing.values(), self._filing):
            executor.shutdown(wait=True, cancel_futures=True)
        log.info("ended after %d frames", self._frames)


@dataclass
class Job:
    """A request that is not answered yet."""

    stop: Stop = field(default_factory=Stop)
    future: Future[Any] | None = None


class Conversation:
    """One client's connection.

    Attributes:
        jobs: what is being computed for it, by request.
    """

    def __init__(self, server: Server, channel: Channel, listener: Listener) -> None:
        self.jobs: dict[int, Job] = {}
        self._server, self._channel, self._listener = server, channel, listener
        self._protocol = protocol.Connection("server", descriptors=channel.carries_descriptors)
        self._memories: dict[int, shared.Segment] = {}
        self._lock = threading.RLock()  # over the protocol's state and the order of what is sent
        self._client = ""
        self._process = 0
        self._greeted_by = time.monotonic() + HELLO_S
        self._ended = False

    def hold(self) -> None:
        """Read and answer until one side ends it. The thread's whole life."""
        try:
            self._converse()
        except (ConnectionError, TimeoutError):
            pass  # the client is gone, and with it whoever could be told
        except Exception:
            log.exception("a connection was ended by an error of this program")
        finally:
            self.release()

    def end(self) -> None:
        """End it from another thread."""
        self.give_up()
        self._channel.shut_down()

    def give_up(self) -> None:
        """Stop what is computed for it."""
        for request in list(self.jobs):
            self._cancel(request)

    def summary(self) -> dict[str, Any]:
        """For :meth:`Server.status`."""
        size = sum(segment.bytes for segment in list(self._memories.values()))  # no lock: a client may hold it up
        return {"client": self._client, "process": self._process, "requests": len(self.jobs), "memory_bytes": size}

    def _converse(self) -> None:
        while True:
            received = self._channel.receive(self._patience_s())
            if received is None:
                return
            with self._lock:
                self._protocol.receive_data(received.data, received.descriptors)
            while True:
                with self._lock:
                    try:
                        event = self._protocol.next_event()
                    except protocol.RemoteProtocolError as error:
                        self._end_with(Code.PROTOCOL, f"The client broke the protocol: {error}.")
                        return
                if event is protocol.CLOSED:
                    return
                if not isinstance(event, Event):
                    break
                if not self._answer(event):
                    return

    def _patience_s(self) -> float | None:
        if not self._client:
            return max(0.0, self._greeted_by - time.monotonic())  # however many bytes of HELLO trickle in
        return MESSAGE_S if self._protocol.in_message else None

    def _answer(self, event: Event) -> bool:
        """Answer or take on one message; False where the conversation is over."""
        message, request = event.message, event.request
        if isinstance(message, protocol.Hello):
            return self._welcome(message)
        if isinstance(message, protocol.Cancel):
            self._cancel(message.target)
            return True
        self._server.note_use()
        refusal = self._refuses(event)
        if refusal is None:
            try:
                self._take_on(event)
            except Refusal as error:
                refusal = error
            except protocol.LocalProtocolError as error:
                refusal = Refusal(Code.FAILED, f"The inference server has no words for its answer: {error}.")
        elif event.descriptor is not None:
            os.close(event.descriptor)
        if refusal is not None:
            self._send(_error(refusal), request)
        return True

    def _welcome(self, hello: protocol.Hello) -> bool:
        version = protocol.common_version(hello)
        if version is None or not self._listener.knows(hello):
            what = "speaks another version of the protocol: update it" if version is None else "is not known to it"
            self._end_with(Code.REFUSED, f"The inference server of Wetgate {__version__} refuses a client that {what}.")
            return False
        if self._server.stopping.is_set():  # once welcomed, a client may take the next one's end for its own fault
            self._send(protocol.Error(Code.CLOSING, _NOT_NOW))
            return False
        self._client, self._process = _printable(hello.client) or "unnamed", hello.process_id
        self._send(protocol.Welcome(version, os.getpid(), f"wetgate {__version__}"))
        return True

    def _refuses(self, event: Event) -> Refusal | None:
        if event.excess:
            return Refusal(Code.BUSY, "There are too many requests or memories on this connection.")
        if self._server.stopping.is_set() and not isinstance(event.message, protocol.Stop):
            return Refusal(Code.CLOSING, _NOT_NOW)
        return None

    def _take_on(self, event: Event) -> None:
        """Answer a request, or see to it that it is answered.

        Raises:
            Refusal: it cannot be done.
        """
        message, request, models = event.message, event.request, self._server.models
        if isinstance(message, protocol.Describe):
            self._send(rendering.describe(models, message.model), request)
        elif isinstance(message, protocol.Memory):
            self._map(message, event.descriptor)
            self._send(protocol.Done(), request)
        elif isinstance(message, protocol.Forget):
            self._segment(message.memory)
            with self._lock:
                del self._memories[message.memory]  # unmapped with the last job that uses it
            self._send(protocol.Done(), request)
        elif isinstance(message, protocol.Render):
            self._compute(message, request)
        elif isinstance(message, protocol.RenderFile):
            self._compute_file(message, request)
        elif isinstance(message, protocol.Status):
            self._send(protocol.StatusIs(json.dumps(self._server.status())), request)
        else:
            log.info("stopped by %s, process %d", self._client, self._process)
            try:
                self._send(protocol.Done(), request)
            finally:
                self._server.stopping.set()

    def _map(self, message: protocol.Memory, descriptor: int | None) -> None:
        if message.memory in self._memories:
            if descriptor is not None:
                os.close(descriptor)
            raise Refusal(Code.MEMORY, f"There is a memory {message.memory} already: forget it first.")
        try:
            segment = shared.attach(message.bytes, descriptor=descriptor, name=message.name)
        except WetgateError as error:
            raise Refusal(Code.MEMORY, str(error)) from error
        with self._lock:
            self._memories[message.memory] = segment

    def _segment(self, memory: int) -> shared.Segment:
        try:
            return self._memories[memory]
        except KeyError:
            raise Refusal(Code.MEMORY, f"There is no memory {memory} on this connection.") from None

    def _compute(self, message: protocol.Render, request: int) -> None:
        mapped, job = self._segment(message.memory).map, Job()
        assert mapped is not None  # segments of a connection are never closed, they go with their last user

        def work() -> protocol.Message:
            return _answered(lambda: rendering.render(self._server.models, message, memoryview(mapped), job.stop))

        self._start(job, request, lambda: self._server.submit(message.device, work))

    def _compute_file(self, message: protocol.RenderFile, request: int) -> None:
        job = Job()

        def turn(restore: Callable[[], RestoredFrame]) -> RestoredFrame:
            restored: RestoredFrame = self._server.submit(message.device, restore).result()
            return restored

        def work() -> protocol.Message:
            return _answered(lambda: rendering.render_file(self._server.models, message, turn, job.stop))

        self._start(job, request, lambda: self._server.submit_file(work))

    def _start(self, job: Job, request: int, submit: Callable[[], Future[protocol.Message]]) -> None:
        self.jobs[request] = job
        try:
            job.future = submit()
        except RuntimeError as error:  # the server ends just now
            del self.jobs[request]
            raise Refusal(Code.CLOSING, _NOT_NOW) from error
        job.future.add_done_callback(lambda future: self._finish(job, request, future))

    def _finish(self, job: Job, request: int, future: Future[protocol.Message]) -> None:
        """Send what came out, from whichever thread knows first."""
        answer = _given_up() if future.cancelled() else future.result()
        if isinstance(answer, protocol.Restored):
            self._server.note_frame()
        try:
            self._send(answer, request)
        except (ConnectionError, TimeoutError):
            self._channel.shut_down()
        with self._lock:
            if self.jobs.get(request) is job:  # the client may have used the answer's number again
                del self.jobs[request]
        self._server.note_use()

    def _cancel(self, request: int) -> None:
        job = self.jobs.get(request)
        if job is not None:
            job.stop.request()
            if job.future is not None:
                job.future.cancel()  # where its turn has not come

    def _send(self, message: protocol.Message, request: int = 0) -> None:
        with self._lock:
            if not self._ended:
                self._channel.send(self._protocol.send(message, request), timeout_s=_ANSWER_S)

    def _end_with(self, code: Code, sentence: str) -> None:
        log.info("%s (%s, process %d)", sentence, self._client or "unknown", self._process)
        with self._lock:
            try:
                self._send(protocol.Error(code, protocol.speakable(sentence)))
            finally:
                self._ended = True  # what is computed still has nobody to be told to

    def release(self) -> None:
        """Give back all that it holds; nothing is said any more."""
        self.give_up()
        with self._lock:
            self._ended = True
            self._channel.close()
            for descriptor in self._protocol.take_descriptors():
                os.close(descriptor)
            self._memories.clear()
        self._server.forget(self)


def _acquired(lock: FileLock) -> bool:
    """Whether this process is the server now. Who only looks whether there is one holds the lock for microseconds."""
    give_up = time.monotonic() + _LOOKING_S
    while not lock.try_acquire():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.002)
    return True


def bound_memory(share: float = 0.75) -> None:
    """Let this process have no more than ``share`` of the machine's memory: a model that asks for more gets a refusal
    instead of the machine. Linux only.
    """
    if sys.platform == "linux":
        import resource

        bound = int(share * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


def raise_open_files(most: int = 8192) -> None:
    """Let this process have as many files open as it may, up to ``most``: each client and each memory is one."""
    if os.name != "nt":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _printable(name: str) -> str:
    """A client's name of itself, fit for a line of the log and for STATUS."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in name[:_LONGEST_NAME])


def _answered(work: Callable[[], protocol.Restored]) -> protocol.Message:
    """What ``work`` gives, or why it gives nothing; no exception is kept, whose frames would keep pictures alive."""
    try:
        return work()
    except Refusal as refusal:
        return _error(refusal)
    except CancelledError:
        return _given_up()
    except Exception as error:
        log.exception("a request was ended by an error of this program")
        return protocol.Error(Code.FAILED, f"The inference server made a mistake ({error!r:.200}): see its log.")


def _error(refusal: Refusal) -> protocol.Error:
    return protocol.Error(refusal.code, protocol.speakable(str(refusal)))


def _given_up() -> protocol.Error:
    return protocol.Error(Code.CANCELLED, "It was given up before its turn came.")
