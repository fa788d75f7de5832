"""Places in pictures as they are written on the command line: x,y,width,height in pixels from the top left."""

from __future__ import annotations

from wetgate.errors import WetgateError

Box = tuple[int, int, int, int]

EYEDROPPER = 9
"""Side, in pixels, of what is looked at around a point."""


def parse_place(text: str, whole: str) -> Box:
    """A box, or a point in the middle of a small one.

    Args:
        text: "x,y,width,height" or "x,y".
        whole: the argument that it is part of, for the error.

    Raises:
        WetgateError: it is neither.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
        if len(numbers) == 2:
            numbers = [max(value - EYEDROPPER // 2, 0) for value in numbers] + [EYEDROPPER] * 2
        x, y, width, height = numbers
    except ValueError:
        raise WetgateError(
            f"{whole}: {text or 'nothing'} is no place; write x,y or x,y,width,height in pixels, such as 310,125,40,40."
        ) from None
    if x < 0 or y < 0 or width < 1 or height < 1:
        raise WetgateError(f"{whole}: {text} holds no pixel; x and y count from the top left corner, from 0.")
    return x, y, width, height


def parse_frame(text: str, usual: int, whole: str) -> tuple[str, int]:
    """What stands before "@FRAME", and the frame; ``usual`` where none is named.

    Raises:
        WetgateError: the frame is no number.
    """
    before, at, frame = text.rpartition("@")
    if not at:
        return text, usual
    try:
        return before, int(frame)
    except ValueError:
        raise WetgateError(
            f"{whole}: {frame or 'nothing'} is no frame number; write it behind @, as in @1041."
        ) from None
