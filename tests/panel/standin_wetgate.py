"""A stand-in for the `wetgate` command: the verbs that the panel calls, and a trainer that keeps to the run folder's
rules as the real one does. Run by tests as a real process; needs the standard library only.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from wetgate.errors import WetgateError
from wetgate.project import open_restoration, start_detached

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFklEQVR4nGNsaGBgwAaYsIoOWwkGBgB4/QEeXiB4xgAAAABJRU5ErkJggg=="
)
"""A grey square."""


def doctor(words):
    checks = [{"topic": "Python", "state": "ok", "detail": "3.11", "advice": ""}]
    checks += [{"topic": "Training", "state": "ok", "detail": "on the processor, 2 threads", "advice": ""}]
    return {"wetgate": "0", "machine": "a stand-in", "checks": checks}


def prepare(words):
    restoration = open_restoration(words[0])
    proofs = restoration.folder / "proofs"
    proofs.mkdir(exist_ok=True)
    for pair in restoration.pairs():
        if pair.state == "collected":
            pair.update(state="accepted", prepared="reference.exr", residual_px=0.1, reason="")
        (pair.folder / "thumbnail.png").write_bytes(PNG)
        for name in ("-scan", "-reference", "-difference", ""):
            (proofs / f"{pair.folder.name}{name}.png").write_bytes(PNG)
    return {"folder": words[0], "pairs": []}


def suggest(words):
    frames = [
        {"frame": 1210, "coverage": 0.64, "gain": 0.21, "reason": "36 % of the picture has colours that no pair shows"},
        {"frame": 1377, "coverage": 0.81, "gain": 0.08, "reason": "shot 4, mostly dark blues"},
    ]
    return {"coverage": 0.87, "suggestions": frames, "scan": words[words.index("--scan") + 1]}


def train(words):
    restoration = open_restoration(words[0])
    if "--resume" in words:
        run = restoration.latest_run()
    else:
        run = restoration.new_run(
            {"time_s": 60.0, "protect": words[words.index("--protect") + 1], "pairs": [1], "held_out": []}
        )
    if "--detach" in words:
        pid = start_detached([sys.executable, __file__, "train", words[0], "--resume", "--json"], run.log)
        return {"state": "started", "run": run.number, "folder": str(run.folder), "pid": pid}
    with run.lock():
        work(run)
    return {"state": run.status()["state"]}


def work(run):
    """Steps until it is told to stop, or 60 s have gone."""
    state, step, give_up = "training", 0, time.monotonic() + 60
    run.emit({"event": "model", "stage": "first look", "seconds": 0.1})
    while state != "stopped" and time.monotonic() < give_up:
        for command in run.take_commands():
            if command == "checkpoint":
                run.emit({"event": "checkpoint", "step": step})
            state = {"stop": "stopped", "pause": "paused", "resume": "training"}.get(command, state)
        if state == "training":
            step += 1
            run.emit(
                {"event": "step", "job": 0, "step": step, "loss": 1 / step, "validation": 1.2 / step, "seconds": step}
            )
            run.model.write_bytes(b"model %d" % step)
            for name in ("scan", "restored", "reference"):
                (run.previews / f"{name}.png").write_bytes(PNG)
        run.write_status(
            {"state": state, "message": "training on all pairs", "seconds": step, "eta_s": 60 - step, "device": "CPU"}
        )
        time.sleep(0.1)


def main():
    verb, *words = sys.argv[1:]
    try:
        print(json.dumps({"doctor": doctor, "prepare": prepare, "suggest": suggest, "train": train}[verb](words)))
    except WetgateError as error:
        print(json.dumps({"error": str(error)}))
        print(f"wetgate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
