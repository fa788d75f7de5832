"""Finishing frames behind the computation's back, a few at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Result = TypeVar("Result")


class WriteQueue(Generic[Result]):
    """Runs tasks on ``threads`` threads and hands their results, in order, to ``done`` in this thread.

    Leaving the context waits for every task; after an error, tasks that have not begun are dropped and
    those that have are finished, so that nothing is left half done.

    Args:
        threads: how many tasks run at once; with one they run in order.
        limit: how many tasks may wait or run: :meth:`put` blocks beyond it, so that memory is bounded.
        done: called with each result.
    """

    def __init__(self, threads: int, limit: int, done: Callable[[Result], None]) -> None:
        self._pool = ThreadPoolExecutor(threads, "wetgate-write")
        self._limit, self._done = limit, done
        self._waiting: deque[Future[Result]] = deque()

    def put(self, task: Callable[[], Result]) -> None:
        """Add a task; an error of an earlier one is raised here."""
        self._take_down_to(self._limit - 1)
        self._waiting.append(self._pool.submit(task))

    def __enter__(self) -> WriteQueue[Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._take_down_to(0)
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _take_down_to(self, count: int) -> None:
        while self._waiting and (len(self._waiting) > count or self._waiting[0].done()):
            self._done(self._waiting.popleft().result())
