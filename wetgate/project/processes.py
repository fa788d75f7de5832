"""Processes that outlive the window that started them, and how to recognise one again."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.files import make_folder, sentence_for

# A host application sets these for its own Python; they would break another one.
HOST_VARIABLES = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONEXECUTABLE",
    "PYTHONSTARTUP",
    "__PYVENV_LAUNCHER__",
    "LD_LIBRARY_PATH",
)


def clean_environment() -> dict[str, str]:
    """This process's environment without what a host application sets for its own Python."""
    return {name: value for name, value in os.environ.items() if name not in HOST_VARIABLES}


def start_detached(arguments: Sequence[str], log_path: str | os.PathLike[str]) -> int:
    """:func:`detached` for who needs the process id only."""
    return detached(arguments, log_path).pid


def detached(arguments: Sequence[str], log_path: str | os.PathLike[str]) -> subprocess.Popen[bytes]:
    """Start a process that goes on when this one, its window or its terminal ends.

    It runs in a session of its own with no standard input; what it prints is appended to ``log_path``.
    It is reaped as soon as it ends, so it never stays behind as a zombie.

    Raises:
        WetgateError: the program or the log cannot be opened.
    """
    make_folder(Path(log_path).parent)
    try:
        log = open(log_path, "ab")  # noqa: SIM115 - closed below, on every way out
    except OSError as error:
        raise WetgateError(sentence_for(error, log_path)) from error
    with log:
        try:
            process = _popen_detached([os.fspath(argument) for argument in arguments], log.fileno())
        except OSError as error:
            raise WetgateError(f"{arguments[0]} cannot be started: {error.strerror or error}.") from error
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()
    return process


def _popen_detached(arguments: list[str], output: int) -> subprocess.Popen[bytes]:
    def popen(creationflags: int = 0) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=clean_environment(),
            start_new_session=os.name != "nt",
            creationflags=creationflags,
        )

    if os.name != "nt":
        return popen()
    flags: int = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW  # type: ignore[attr-defined]
    try:
        return popen(flags | subprocess.CREATE_BREAKAWAY_FROM_JOB)  # type: ignore[attr-defined]
    except PermissionError:  # the host's job object does not let its children go
        return popen(flags)


def process_start(pid: int) -> str | None:
    """When the process started, as a text that no later process with the same id shares.

    None when there is no such process; a zombie counts as none.
    """
    if os.name == "nt":
        return _start_on_windows(pid)
    if Path("/proc/self/stat").exists():
        return _start_on_linux(pid)
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    asked = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], env=environment, capture_output=True, text=True, check=False
    )
    state, _, started = asked.stdout.strip().partition(" ")
    return started.strip() if started and not state.startswith("Z") else None


def _start_on_linux(pid: int) -> str | None:
    """Boot id and start in clock ticks since boot: field 22 of proc(5) stat."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name in brackets may hold spaces and brackets
    state, ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{boot}:{ticks}"


def _start_on_windows(pid: int) -> str | None:
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(0x1000, False, pid)
    if not handle:
        return None
    try:
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        times = [ctypes.c_ulonglong() for _ in range(4)]
        if code.value != 259 or not kernel.GetProcessTimes(handle, *map(ctypes.byref, times)):
            return None
        return str(times[0].value)
    finally:
        kernel.CloseHandle(handle)
