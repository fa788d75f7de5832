"""The knobs of the stand-in: as strict about values as Nuke, and each change on the undo list."""

# ruff: noqa: N801 - the names are Nuke's

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from standin_nodes import Node


class Guarded:
    """What Nuke hands out: its attributes are for the main thread only, and one that it has not raises."""

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            check_thread(f"{type(self).__name__}.{name}")
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r} to set")
        object.__setattr__(self, name, value)


def check_thread(name: str) -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(f"{name} was used off the main thread")


class Knob(Guarded):
    _types: tuple[type, ...] = (str,)
    _default: Any = ""

    def __init__(self, name: str, label: str | None = None, value: Any = None) -> None:
        self._name, self._label = name, label
        self._value = self._default if value is None else value
        self._expression = ""
        self._animated = False
        self._node: Node | None = None
        self._tooltip = ""
        self._flags: set[str] = set()
        self._enabled = self._visible = True

    def name(self) -> str:
        return self._name

    def label(self) -> str:
        return self._label or self._name

    def node(self) -> Node | None:
        return self._node

    def tooltip(self) -> str:
        return self._tooltip

    def enabled(self) -> bool:
        return self._enabled

    def visible(self) -> bool:
        return self._visible

    def setEnabled(self, enabled: bool) -> None:
        self._enabled = bool(enabled)

    def setVisible(self, visible: bool) -> None:
        self._visible = bool(visible)

    def isAnimated(self) -> bool:
        return self._animated

    def value(self) -> Any:
        return _evaluated(self._expression, self._node) if self._expression else self._value

    def getValue(self) -> Any:
        return self.value()

    def setValue(self, value: Any) -> bool:
        if not isinstance(value, self._types):
            raise TypeError(f"{type(self).__name__} {self._name} takes no {type(value).__name__}")
        self._put(self._checked(value))
        return True

    def _checked(self, value: Any) -> Any:
        return value

    def _put(self, value: Any) -> None:
        before, expression = self._value, self._expression
        self._value, self._expression = value, ""
        if self._node is not None and (before != value or expression):
            self._node._session.did(f"{self._node.name()}.{self._name}", lambda: self._restore(before, expression))
            self._node._session.knob_changed(self._node, self)

    def _restore(self, value: Any, expression: str) -> None:
        self._value, self._expression = value, expression

    def fromScript(self, text: str) -> bool:
        """As a file of Nuke's says it; ``{...}`` is an expression."""
        inner = re.fullmatch(r"\{?\"?([^{}\"]*)\"?\}?", text)
        if text.startswith("{") and inner:
            self._expression = inner.group(1)
        else:
            self._put(self._parsed(text))
        return True

    def _parsed(self, text: str) -> Any:
        return text


class String_Knob(Knob):
    pass


class EvalString_Knob(String_Knob):
    def evaluate(self) -> str:
        return self._subst()

    def _subst(self) -> str:
        """What Tcl makes of it; commands and variables would be the script's, of which there are none here."""
        text = str(self.value())
        if re.search(r"(?<!\\)[\[$]", text):
            raise RuntimeError(f"{self._name}: Tcl cannot evaluate {text}")
        return re.sub(r"\\(.)", r"\1", text)


class Multiline_Eval_String_Knob(EvalString_Knob):
    pass


class File_Knob(EvalString_Knob):
    def evaluate(self) -> str:
        """For the current frame: its number stands in every place for one, in folders' names, too."""
        frame = 1 if self._node is None else self._node._session.frame
        return re.sub(
            r"#+|%0?(\d*)d",
            lambda at: f"{frame:0{int(at.group(1) or 0) if at.group()[0] == '%' else len(at.group())}d}",
            self._subst(),
        )

    def getEvaluatedValue(self) -> str:
        """For all frames, in what Nuke calls technical notation."""
        return re.sub(r"#+", lambda at: f"%0{len(at.group())}d", self._subst())


class Text_Knob(String_Knob):
    pass


class Tab_Knob(String_Knob):
    pass


class Script_Knob(String_Knob):
    def execute(self) -> None:
        self._node._session.press(self._node, self)


class PyScript_Knob(Script_Knob):
    pass


class ChannelMask_Knob(String_Knob):
    pass


class MultiView_Knob(String_Knob):
    pass


class Boolean_Knob(Knob):
    _types = (bool, int, float)
    _default = False

    def _checked(self, value: Any) -> bool:
        return bool(value)

    def _parsed(self, text: str) -> bool:
        if text not in ("true", "false", "0", "1"):
            raise ValueError(f"{text} is neither true nor false")
        return text in ("true", "1")


class Int_Knob(Knob):
    _types = (int,)
    _default = 0

    def _parsed(self, text: str) -> int:
        return int(text)


class Double_Knob(Knob):
    _types = (int, float, list, tuple)
    _default = 0.0

    def _parsed(self, text: str) -> Any:
        words = text.strip("{}").split()
        return float(words[0]) if len(words) == 1 else [float(word) for word in words]


class Array_Knob(Double_Knob):
    pass


class Color_Knob(Double_Knob):
    _default = (0.0, 0.0, 0.0, 0.0)


class BBox_Knob(Knob):
    _types = (list, tuple)
    _default = (0.0, 0.0, 0.0, 0.0)

    def _checked(self, value: Any) -> tuple[float, ...]:
        if len(value) != 4:
            raise TypeError(f"{self._name} takes four numbers")
        return tuple(float(number) for number in value)

    def _parsed(self, text: str) -> tuple[float, ...]:
        return self._checked(text.strip("{}").split())


class Enumeration_Knob(Knob):
    _types = (str, int)

    def __init__(self, name: str, label: str | None = None, values: list[str] | tuple[str, ...] = ()) -> None:
        super().__init__(name, label, values[0])
        self._values = list(values)

    def values(self) -> list[str]:
        return list(self._values)

    def _checked(self, value: Any) -> str:
        if isinstance(value, int):
            return self._values[value]
        if value not in self._values:
            raise ValueError(f"{self._name} has no {value!r}, only {self._values}")
        return value

    def _parsed(self, text: str) -> str:
        return self._checked(text)

    def getValue(self) -> float:
        return float(self._values.index(self.value()))


class Link_Knob(Knob):
    """Shows a knob of another node: ``T Restore1.mix``, looked for inside the group first."""

    _types = (object,)

    def __init__(self, name: str, label: str | None, target: str) -> None:
        super().__init__(name, label)
        self._target = target

    def getLinkedKnob(self) -> Knob:
        node, _, knob = self._target.rpartition(".")
        group = self._node
        found = group.node(node) if hasattr(type(group), "node") else None
        linked = None if found is None else found.knob(knob)
        if linked is None:
            raise RuntimeError(f"{group.fullName()}.{self._name} links to {self._target}, which is not there")
        return linked

    def value(self) -> Any:
        return self.getLinkedKnob().value()

    def setValue(self, value: Any) -> bool:
        return self.getLinkedKnob().setValue(value)


def _evaluated(expression: str, node: Node | None) -> Any:
    """The few expressions that gizmos need: see :func:`as_python`."""
    return eval(as_python(expression, node), {"__builtins__": {}})


def as_python(expression: str, node: Node | None) -> str:
    """An expression of Nuke's: knobs and inputs of the group, arithmetic, comparisons, and, or, not, a ? b : c."""

    def value_of(match: re.Match[str]) -> str:
        found = node.parent().knob(match.group(1))
        if found is None:
            raise RuntimeError(f"{node.fullName()}: {expression} names a knob that is not there")
        return repr(found.getValue())

    text = re.sub(
        r"\\?\[exists parent\.input(\d+)\]",
        lambda found: repr(node.parent().input(int(found.group(1))) is not None),
        expression,
    )
    text = re.sub(r"\bparent\.([A-Za-z_]\w*)", value_of, text)
    text = text.replace("&&", " and ").replace("||", " or ")
    text = re.sub(r"!(?!=)", " not ", text)
    choice = re.fullmatch(r"(.*?)\?(.*):(.*)", text)
    return f"({choice.group(2)}) if ({choice.group(1)}) else ({choice.group(3)})" if choice else text.strip()


USER_KNOBS: dict[str, type[Knob]] = {
    "1": String_Knob,
    "2": File_Knob,
    "3": Int_Knob,
    "4": Enumeration_Knob,
    "6": Boolean_Knob,
    "7": Double_Knob,
    "15": BBox_Knob,
    "18": Color_Knob,
    "20": Tab_Knob,
    "22": PyScript_Knob,
    "26": Text_Knob,
    "41": Link_Knob,
}
"""By the number that addUserKnob has for them."""


def user_knob(words: list[str]) -> Knob:
    """The knob of an ``addUserKnob {...}``: its number, its name, then options with their values, and flags."""
    if len(words) < 2 or words[0] not in USER_KNOBS:
        raise RuntimeError(f"addUserKnob {{{' '.join(words)}}} is no knob")
    kind, name, rest = USER_KNOBS[words[0]], words[1], words[2:]
    options: dict[str, str] = {}
    flags: set[str] = set()
    while rest:
        word = rest.pop(0)
        if re.fullmatch(r"[-+][A-Z_]+", word):
            flags.add(word)
        elif word == "n":
            options[word] = "1"
        elif word == "R":
            options[word] = f"{rest.pop(0)} {rest.pop(0)}"
        elif word in ("l", "t", "T", "M", "h") and rest:
            options[word] = rest.pop(0)
        else:
            raise RuntimeError(f"addUserKnob {name}: {word} is no option")
    if kind is Enumeration_Knob:
        found = re.findall(r"\{([^{}]*)\}|\"([^\"]*)\"|(\S+)", options.get("M", ""))
        values = [braced or quoted or plain for braced, quoted, plain in found]
        knob: Knob = Enumeration_Knob(name, options.get("l"), values)
    elif kind is Link_Knob:
        knob = Link_Knob(name, options.get("l"), options["T"])
    else:
        knob = kind(name, options.get("l"), options.get("T"))
    knob._tooltip = options.get("t", "")
    knob._flags = flags
    return knob
