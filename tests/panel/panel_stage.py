"""Restorations as the engine leaves them, with pictures drawn by Qt: nothing here needs the engine."""

from __future__ import annotations

import math
import random
import struct
from pathlib import Path

from nuke_plugin.panel.qt import Qt, QtCore, QtGui
from wetgate.files import write_json
from wetgate.project import create_restoration

NOT_EXR = b"a picture that only the engine reads"
SIZE = (640, 272)


def scene(frame: int, *, faded: bool = False, size=SIZE) -> QtGui.QImage:
    """A house under a sky, and the same as a faded film shows it: red, flat, grainy and dusty."""
    width, height = size
    image = QtGui.QImage(width, height, QtGui.QImage.Format.Format_RGB32)
    painter = QtGui.QPainter(image)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    sky = QtGui.QLinearGradient(0, 0, 0, height * 0.7)
    sky.setColorAt(0, QtGui.QColor(70, 118, 168))
    sky.setColorAt(1, QtGui.QColor(206, 214, 204))
    painter.fillRect(image.rect(), QtGui.QBrush(sky))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QtGui.QColor(250, 236, 190))
    painter.drawEllipse(QtCore.QPointF(width * (0.75 - 0.001 * frame), height * 0.24), height * 0.08, height * 0.08)
    for index, colour in enumerate((QtGui.QColor(96, 122, 112), QtGui.QColor(78, 104, 62), QtGui.QColor(58, 82, 44))):
        hill = QtGui.QPolygonF([QtCore.QPointF(0, height)])
        for x in range(0, width + 16, 16):
            y = height * (0.56 + 0.12 * index) + height * 0.07 * math.sin(x / 90.0 + index * 2 + frame / 40.0)
            hill.append(QtCore.QPointF(x, y))
        hill.append(QtCore.QPointF(width, height))
        painter.setBrush(colour)
        painter.drawPolygon(hill)
    left, top = width * (0.3 + 0.0015 * frame), height * 0.44
    painter.fillRect(QtCore.QRectF(left, top, width * 0.16, height * 0.3), QtGui.QColor(214, 202, 176))
    painter.setBrush(QtGui.QColor(150, 62, 44))
    roof = [(-0.02, 0.0), (0.08, -0.16), (0.18, 0.0)]
    painter.drawPolygon(QtGui.QPolygonF([QtCore.QPointF(left + width * x, top + height * y) for x, y in roof]))
    painter.fillRect(
        QtCore.QRectF(left + width * 0.05, top + height * 0.1, width * 0.04, height * 0.09), Qt.GlobalColor.black
    )
    if faded:
        painter.fillRect(image.rect(), QtGui.QColor(232, 142, 150, 150))
        chance = random.Random(frame)
        for _ in range(width * height // 24):
            shade = chance.choice((0, 255))
            painter.fillRect(
                chance.randrange(width), chance.randrange(height), 1, 1, QtGui.QColor(shade, shade, shade, 22)
            )
        for _ in range(6):
            painter.setBrush(QtGui.QColor(20, 8, 8))
            painter.drawEllipse(QtCore.QPointF(chance.randrange(width), chance.randrange(height)), 1.6, 1.2)
    painter.end()
    return image


def beside(*images: QtGui.QImage, width: int) -> QtGui.QImage:
    """Pictures side by side, ``width`` pixels in all."""
    each = [image.scaledToWidth(width // len(images), Qt.TransformationMode.SmoothTransformation) for image in images]
    made = QtGui.QImage(sum(one.width() for one in each), each[0].height(), QtGui.QImage.Format.Format_RGB32)
    painter = QtGui.QPainter(made)
    x = 0
    for one in each:
        painter.drawImage(x, 0, one)
        x += one.width()
    painter.end()
    return made


def new_restoration(folder: Path, pairs: int = 0, *, drawn: bool = True, decided: bool = True):
    """A restoration with so many pairs."""
    restoration = create_restoration(folder, "color", "display")
    for index in range(pairs):
        add_pair(restoration, 1001 + 24 * index, drawn=drawn, decided=decided)
    return restoration


def add_pair(restoration, frame: int, *, drawn: bool = True, decided: bool = True, region=None):
    where_from = {"scan": f"/reels/scan/reel3.{frame:04d}.dpx", "reference": "/reels/dvd.mov", "reference_frame": frame}
    with restoration.add_pair(frame, region, where_from) as draft:
        draft.scan.write_bytes(NOT_EXR)
        draft.reference.write_bytes(NOT_EXR)
    pair = draft.pair
    if decided:
        pair.update(
            state="accepted", prepared="reference.exr", residual_px=0.05 + 0.03 * pair.number, reason="dust 0.2 %"
        )
    if drawn:
        draw_pair(restoration, pair)
    return pair


def draw_pair(restoration, pair) -> None:
    """What `wetgate prepare` draws of a pair."""
    proofs = restoration.folder / "proofs"
    proofs.mkdir(exist_ok=True)
    scan, reference = scene(pair.frame - 1000, faded=True), scene(pair.frame - 1000)
    grey = QtGui.QImage(scan.size(), QtGui.QImage.Format.Format_RGB32)
    grey.fill(QtGui.QColor(128, 128, 128))
    beside(scan, reference, width=320).save(str(pair.folder / "thumbnail.png"))
    for name, image in (("-scan", scan), ("-reference", reference), ("-difference", grey), ("", reference)):
        image.save(str(proofs / f"{pair.folder.name}{name}.png"))


def add_run(restoration, state: str = "finished", *, delta_e: float = 3.4, points: int = 40, protect: str = "grain"):
    """A run as its trainer leaves it; one "at work" has no trainer and is locked by whoever wants it to be alive."""
    run = restoration.new_run(
        {"recipe": "color", "protect": protect, "time_s": 300.0, "pairs": [1, 2, 3], "held_out": [], "device": "auto"}
    )
    fill_run(run, state, delta_e=delta_e, points=points)
    return run


def fill_run(run, state: str, *, delta_e: float = 3.4, points: int = 40) -> None:
    jobs = (
        "trying out what context is worth, 1 of 2",
        "trying out what context is worth, 2 of 2",
        "training on all pairs",
    )
    run.emit({"event": "model", "stage": "first look", "seconds": 0.8})
    run.emit({"event": "model", "stage": "kernels", "seconds": 6.0})
    for job, what in enumerate(jobs):
        run.emit({"event": "job", "job": job, "what": what})
        for step in range(points):
            seconds = 8.0 + (job * points + step) * 3.0
            wave = 1 + 0.12 * math.sin(step * 2.3 + job)
            loss = (0.02 + 0.16 * math.exp(-step / (0.3 * points + 1))) * wave / (1 + 0.3 * job)
            event = {"event": "step", "job": job, "step": step * 40, "loss": loss, "seconds": seconds}
            if job < 2:
                event["validation"] = 0.05 + 0.13 * math.exp(-step / (0.4 * points + 1)) / (1 + 0.2 * job)
            run.emit(event)
    stage = "memory" if state == "finished" else "context, so far"
    run.emit({"event": "model", "stage": stage, "seconds": 240.0})
    run.model.write_bytes(b"a model")
    for name, image in (("scan", scene(25, faded=True)), ("restored", scene(25)), ("reference", scene(25))):
        image.save(str(run.previews / f"{name}.png"))
    write_json(run.folder / "preview.json", {"pair": 2})
    status = {"state": state, "message": "training on all pairs", "seconds": 232.0, "eta_s": 68.0, "device": "CPU"}
    if state in ("finished", "stopped", "failed"):
        status.pop("eta_s")
        status["message"] = "The disk is full: free some space." if state == "failed" else ""
    if state == "finished":
        run.report.write_text("<h1>Report</h1>", encoding="utf-8")
        measures = {"psnr": 30.0, "ssim": 0.921, "delta_e": delta_e, "delta_e_p95": 2 * delta_e, "hf_gain": 1.08}
        scan = {**measures, "delta_e": 22.6, "psnr": 14.1}
        write_json(run.record, {"results": {"scan": scan, "restored": measures}})
    run.write_status(status)


def exr_header(width, height, left=0, top=0):
    """The start of an OpenEXR file: magic, version, channels cut short, data window."""
    box = struct.pack("<4i", left, top, left + width - 1, top + height - 1)
    return b"\x76\x2f\x31\x01\x02\0\0\0" + b"dataWindow\0box2i\0" + struct.pack("<i", 16) + box + b"\0"
