"""What the panel says, in the words of people who restore pictures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Optional

from nuke_plugin.standing import PairStanding, RunStanding

RECIPES: Mapping[str, str] = {
    "color": "Colour from a reference",
    "exemplar": "Colour from examples",
    "detail": "Detail and grain",
    "telecine": "Video reference",
    "damage": "Dust, scratches and stains",
    "steady": "Flicker and weave",
}
PROTECTED: Mapping[str, tuple[str, str]] = {
    "grain": ("Grain and detail", "Colour and contrast may change; the scan's grain and detail stay as scanned."),
    "luma": ("Brightness", "Only colour may change; the scan's brightness stays, pixel by pixel."),
    "none": ("Nothing", "Everything may change, grain and detail included."),
}
GRAIN: Mapping[str, tuple[str, str]] = {
    "keep": ("Grain kept", "The scan's grain stays as it was scanned."),
    "match": ("Grain matched", "The scan's grain is brought to the strength and size of the reference's."),
    "none": ("Grain taken out", "What is restored has no grain."),
}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "color": ("protect",),
    "exemplar": ("protect",),
    "detail": ("grain",),
}
"""Which of `protect` and `grain` mean something to a recipe; neither where it is not named."""
KEPT: Mapping[str, str] = {
    "telecine": "Nothing",
    "damage": "All but damage",
    "steady": "All but flicker and weave",
}
"""Of recipes that leave no choice."""
BEGIN: Mapping[str, str] = {
    "color": "Add a pair: a frame of the scan, and the same frame of the reference (a DVD, a telecine, a print).",
    "exemplar": "Add painted frames or paintings from the command line, look at what `wetgate prepare` makes of them, "
    "and accept it.",
    "detail": "Add a pair: a frame of the scan, and the same frame of a better element (a larger gauge, an earlier "
    "generation).",
    "telecine": "Add a pair: a frame of the scan, and the same frame of the video; and others with good film as the "
    "reference, if there is any.",
    "damage": "Show the scan in the Viewer and press Add scan: the model learns from the film's own clean places.",
    "steady": "Show the scan in the Viewer and press Add scan: flicker and weave are measured in it.",
}
"""What a restoration wants first, by its recipe."""
ENCODINGS: Mapping[str, str] = {
    "display": "Display (0-1, as on a monitor)",
    "linear": "Scene-linear (as Nuke works)",
    "log": "Log (Cineon code values)",
}
DURATIONS: Mapping[str, float] = {
    "20 seconds, a first look": 20,
    "1 minute": 60,
    "5 minutes": 300,
    "15 minutes": 900,
    "1 hour": 3600,
    "4 hours, overnight": 14400,
}
PAIR_STATES: Mapping[str, str] = {
    "collected": "New",
    "prepared": "Aligned",
    "accepted": "Accepted",
    "rejected": "Rejected",
    "damaged": "Damaged",
}
RUN_STATES: Mapping[str, str] = {
    "waiting": "Starting",
    "preparing": "Preparing",
    "training": "Training",
    "paused": "Paused",
    "finished": "Finished",
    "stopped": "Stopped",
    "failed": "Failed",
    "interrupted": "Broken off",
}
ASKED: Mapping[str, str] = {
    "stop": "Stopping after this step.",
    "pause": "Pausing after this step.",
    "resume": "Going on.",
    "checkpoint": "Writing what it has learnt so far as the model.",
}
STAGES: Mapping[str, str] = {
    "first look": "a first model from the pairs as they were collected",
    "closed-form fit": "a model of how the dyes have faded",
    "kernels": "a model that also knows the pairs' own colours",
    "context, so far": "a model that also looks at what surrounds a colour, still learning",
    "context": "the final model",
    "memory": "the final model, with what the pairs show",
    "closed form": "a model of contrast and sharpness",
    "closed form, steadied": "a model of contrast and sharpness, without flicker",
    "detail, so far": "a model that draws detail, still learning",
    "detail": "the final model",
    "solved": "a model that is solved, with nothing learnt yet",
    "tone and colour": "a model of tone and colour alone",
    "before training": "a model that has not seen this film yet",
    "so far": "a model that is still learning",
    "trained": "the final model",
    "measured": "what was measured",
}
MEASURES: tuple[tuple[str, str, int], ...] = (
    ("delta_e", "Colour, mean ΔE", -1),
    ("delta_e_p95", "Colour, worst 5 % ΔE", -1),
    ("psnr", "PSNR, dB", 1),
    ("ssim", "SSIM", 1),
    ("hf_gain", "Grain against reference", 0),
)
"""Name in a record, what it is called, and whether more (1) or less (-1) is better; 0 where neither is."""


def duration(seconds: float) -> str:
    """As people say it: "8 s", "3 min", "1 h 20 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole < 600 and whole % 60 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 >= 60 else "")


def seconds_since_start(run: RunStanding) -> float:
    """How long a run has worked, pauses left out; between two words of the trainer the clock goes on."""
    said = float(run.status.get("seconds") or 0.0)
    return said + (_silence(run) if run.state in ("preparing", "training") else 0.0)


def seconds_left(run: RunStanding) -> Optional[float]:
    """Until it ends by itself; None where nobody knows."""
    if run.state not in ("preparing", "training"):
        return None
    told, planned = run.status.get("eta_s"), run.settings.get("time_s")
    if told is not None:
        return max(0.0, float(told) - _silence(run))
    return None if planned is None else max(0.0, float(planned) - seconds_since_start(run))


def share_done(run: RunStanding) -> float:
    """0-1, of the time that was planned."""
    if run.state == "finished":
        return 1.0
    done, left = seconds_since_start(run), seconds_left(run)
    if left is None:
        planned = run.settings.get("time_s")
        left = max(0.0, float(planned) - done) if planned else 0.0
    return min(done / (done + left), 1.0) if done + left > 0 else 0.0


def _silence(run: RunStanding) -> float:
    """Seconds since the trainer's last word, at most 5: clocks of machines differ."""
    return min(max(time.time() - float(run.status.get("time") or time.time()), 0.0), 5.0)


def doing(run: Optional[RunStanding]) -> str:
    """What the trainer does, in one line."""
    if run is None:
        return "Nothing has been trained yet."
    if run.at_work and run.asked:
        return ASKED[run.asked[0]]
    if run.state == "waiting":
        return "The trainer is starting."
    if run.state in ("preparing", "training"):
        said = str(run.status.get("message") or RUN_STATES[run.state])
        return f"{said[:1].upper()}{said[1:]}."
    ready = f" In use: {STAGES.get(run.stage, run.stage)}." if run.stage else ""
    if run.state == "paused":
        return f"Paused; nothing is computed.{ready}"
    if run.state == "finished":
        return f"It took {duration(seconds_since_start(run))}. {verdict(run)}".strip()
    if run.state == "stopped":
        return f"It worked for {duration(seconds_since_start(run))} and can go on.{ready}"
    if run.state == "failed":
        return str(run.status.get("message") or run.trouble or "The training failed.")
    return f"The trainer was broken off; it can go on.{f' It last said: {run.trouble}' if run.trouble else ready}"


def verdict(run: RunStanding) -> str:
    """What the run's record says of pairs that were held out."""
    scan, restored = (run.measures.get(name, {}) for name in ("scan", "restored"))
    learns_colour = str(run.settings.get("recipe", "color")) in ("color", "exemplar")
    for key, sentence in (
        ("delta_e", "On pairs it had not seen, the colour difference went from {0:.1f} to {1:.1f}."),
        ("psnr", "On pairs it had not seen, it came from {0:.1f} to {1:.1f} dB of the reference."),
    ):
        if key in scan and key in restored and (learns_colour or key != "delta_e"):
            return sentence.format(scan[key], restored[key])
    return ""


def kept(settings: Mapping[str, object]) -> str:
    """What a run with these settings keeps of the scan, in as few words as a table has room for."""
    recipe = str(settings.get("recipe", "color"))
    names = {"protect": PROTECTED, "grain": GRAIN}
    chosen = [names[name].get(str(settings.get(name)), ("",))[0] for name in CHOICES.get(recipe, ())]
    return ", ".join(filter(None, chosen)) or KEPT.get(recipe, "")


def curves(run: Optional[RunStanding]) -> str:
    """What the curves show, in one line."""
    if run is None or not run.points:
        return "The error is drawn here as soon as a training takes its first steps."
    judged = [point.validation for point in run.points if point.validation is not None]
    where = run.jobs.get(run.points[-1].job, "")
    held_out = f"Held-out error {judged[-1]:.4f}, at its best {min(judged):.4f}." if judged else ""
    return f"{held_out} {f'Now: {where}.' if where and run.at_work else ''}".strip() or "No pair is held out."


def pair_state(pair: PairStanding) -> str:
    """A pair's state, and whether it is a region of its frame, in as few words as a list has room for."""
    return PAIR_STATES.get(pair.state, pair.state) + (", a region" if pair.region is not None else "")


def pair_line(pair: PairStanding) -> str:
    """A pair's state, misalignment and region in one line."""
    parts = [PAIR_STATES.get(pair.state, pair.state)]
    if pair.residual_px is not None:
        parts.append(f"{pair.residual_px:.2f} px off")
    if pair.region is not None:
        x, y, width, height = pair.region
        parts.append(f"region {width}×{height} at {x}, {y}")
    return ", ".join(parts)
