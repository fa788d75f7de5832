"""A small, strict OpenFX host: loads the node as it is, runs every action, and notes whatever the standard forbids.

`Host(library)` loads the plug-in and describes it; `host.node(...)` makes an instance; `node.render(time)` runs the
actions of one frame in the order of a real host. Pictures are arrays [H, W, channels] with rows from the top, as image
files have them; the host lays them out with y upwards, with padded or reversed rows, between guard bytes.

`host.violations` lists what the plug-in must not do: properties set that do not exist, or of another type, index or
action; images kept or fetched for times not announced; writing into sources or outside the render window; parameters
used where there are none; handles used after their end. For x86-64 with the System V calling convention, where a
variadic C function can be called back like any other.
"""

from __future__ import annotations

import ctypes as c
import threading
import time as clock
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from host_facts import (
    ANSWERS,
    BAD_HANDLE,
    BAD_INDEX,
    CLIP_DESCRIPTOR,
    CLIP_MAY_LACK,
    COMPONENTS,
    DEFAULT,
    DEPTHS,
    DOUBLE,
    EFFECT_DESCRIPTOR,
    FAILED,
    INT,
    MAY_SET_VALUES,
    OK,
    PARAMETERS,
    POINTER,
    STRING,
    UNKNOWN,
    VALUE,
)
from numpy.typing import NDArray

Array = NDArray[Any]


class Properties:
    """One set: what the properties are, which a plug-in may set, and for which it may ask though they are not there."""

    def __init__(
        self,
        what: str,
        values: Mapping[str, Any] | None = None,
        settable: Mapping[str, tuple[str, int | None]] | None = None,
        optional: Iterable[str] = (),
    ):
        self.what, self.settable, self.optional = what, dict(settable or {}), set(optional)
        self.values = {
            name: list(value) if isinstance(value, (tuple, list)) else [value] for name, value in (values or {}).items()
        }


@dataclass
class Layout:
    """How pictures lie in memory, the same for every image of a node.

    Attributes:
        padding: bytes between two rows.
        from_top: whether the rows are stored from the top: ``rowBytes`` is negative then.
        premultiplied: what images say of their alpha; None says nothing.
    """

    padding: int = 0
    from_top: bool = False
    premultiplied: bool | None = None


@dataclass
class Clip:
    """What is plugged into an input: frames by their time, their place, and what the clip says of its range.

    Attributes:
        frames: arrays [H, W, channels], rows from the top.
        origin: x and y of the bottom left pixel.
        range: first and last frame; those of ``frames`` where it is None.
        rod: region of definition (x1, y1, x2, y2) in canonical coordinates; the first picture's where it is None.
    """

    frames: Mapping[int, Array]
    origin: tuple[int, int] = (0, 0)
    range: tuple[float, float] | None = None
    rod: tuple[float, float, float, float] | None = None
    aspect: float = 1.0


@dataclass
class Rendered:
    """What came of a frame: the status of the render action, and the output [H, W, channels] from the top.

    ``identity`` is the name of the clip that stands for the output, and ``pixels`` is None then.
    """

    status: int
    pixels: Array | None
    identity: str | None = None
    frames_needed: tuple[float, float] | None = None
    aborted_polls: list[float] = field(default_factory=list)


GUARD = 64
FILL = 0xA5


class _Image:
    """A picture in memory between guard bytes."""

    def __init__(self, pixels: Array, origin: tuple[int, int], layout: Layout, aspect: float = 1.0):
        height, width, channels = pixels.shape
        packed = width * channels * pixels.itemsize
        stride = packed + layout.padding
        self.bytes = np.full(2 * GUARD + stride * height, FILL, np.uint8)
        offset = GUARD
        self.view = np.ndarray(
            pixels.shape, pixels.dtype, self.bytes.data, offset, (stride, channels * pixels.itemsize, pixels.itemsize)
        )
        if not layout.from_top:
            self.view = self.view[::-1]
        self.view[...] = pixels
        self.kept = self.bytes.copy()
        bottom = self.view[-1:].__array_interface__["data"][0]
        self.values = {
            "OfxImagePropData": bottom,
            "OfxImagePropBounds": (origin[0], origin[1], origin[0] + width, origin[1] + height),
            "OfxImagePropRegionOfDefinition": (origin[0], origin[1], origin[0] + width, origin[1] + height),
            "OfxImagePropRowBytes": -stride if layout.from_top else stride,
            "OfxImagePropField": "OfxFieldNone",
            "OfxImagePropPixelAspectRatio": aspect,
            "OfxImagePropUniqueIdentifier": "always the same",
            "OfxImageEffectPropRenderScale": (1.0, 1.0),
            "OfxImageEffectPropComponents": COMPONENTS[channels],
            "OfxImageEffectPropPixelDepth": next(name for name, kind in DEPTHS.items() if kind == pixels.dtype),
        }
        if layout.premultiplied is not None:
            self.values["OfxImageEffectPropPreMultiplication"] = (
                "OfxImageAlphaPremultiplied" if layout.premultiplied else "OfxImageAlphaUnPremultiplied"
            )

    def changed(self, allowed: tuple[slice, slice] | None = None) -> bool:
        """Whether bytes other than those of ``allowed`` rows and columns (from the top) are not as they were."""
        now = self.bytes
        if allowed is not None:
            now = self.bytes.copy()
            view = np.ndarray(self.view.shape, self.view.dtype, now.data, self._start(), self.view.strides)
            old = np.ndarray(self.view.shape, self.view.dtype, self.kept.data, self._start(), self.view.strides)
            view[allowed] = old[allowed]
        return not np.array_equal(now, self.kept)

    def _start(self) -> int:
        return self.view.__array_interface__["data"][0] - self.bytes.__array_interface__["data"][0]


class _Plugin(c.Structure):
    _fields_ = (
        ("api", c.c_char_p),
        ("version", c.c_int),
        ("identifier", c.c_char_p),
        ("major", c.c_uint),
        ("minor", c.c_uint),
        ("set_host", c.CFUNCTYPE(None, c.c_void_p)),
        ("main", c.CFUNCTYPE(c.c_int, c.c_char_p, c.c_void_p, c.c_void_p, c.c_void_p)),
    )


class _HostStruct(c.Structure):
    _fields_ = (("host", c.c_void_p), ("fetch", c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_char_p, c.c_int)))


_STORES = {INT: c.c_int, DOUBLE: c.c_double, STRING: c.c_char_p, POINTER: c.c_void_p}
_PYTHON = {INT: int, DOUBLE: float, STRING: str, POINTER: (int, type(None))}


class Host:
    """The plug-in in a library, loaded and described in the contexts it says it can.

    Args:
        library: the built node.
        temporal: whether the host gives frames at other times.
        message_version: 2, 1, or 0 for a host that shows no messages.
        missing: names of properties that this host does not know.
        processors: how many threads it has to lend; 0 for a host without that suite.

    Attributes:
        lends_threads: whether it lends them now.
        bands: in how many parts work was done, each time that it lent some.
    """

    def __init__(
        self,
        library: str,
        *,
        temporal: int = 1,
        message_version: int = 2,
        missing: Iterable[str] = (),
        processors: int = 3,
    ):
        self.processors, self.lends_threads = processors, True
        self.bands: list[int] = []
        self.violations: list[str] = []
        self.suites_asked: list[tuple[str, int]] = []
        self.message_version, self.missing = message_version, set(missing)
        self._objects: dict[int, Any] = {}
        self._ended: dict[int, str] = {}
        self._next = 0x1000
        self._local = threading.local()
        self._strings: list[Any] = []
        self._keep: list[Any] = []
        values = {
            "OfxPropName": "org.wetgate.tests",
            "OfxImageEffectPropTemporalClipAccess": temporal,
            "OfxImageEffectHostPropIsBackground": 1,
        }
        self._suites = self._make_suites()
        fetch = _HostStruct._fields_[1][1](self._guarded(self._fetch_suite, None))
        self._struct = _HostStruct(self.handle(Properties("host", values, optional=values)), fetch)
        self._library = c.CDLL(library)
        self._library.OfxGetPlugin.restype = c.POINTER(_Plugin)
        assert self._library.OfxGetNumberOfPlugins() == 1
        self.plugin = self._library.OfxGetPlugin(0).contents
        self.plugin.set_host(c.addressof(self._struct))
        assert self.act("OfxActionLoad") == OK
        self.descriptor = Properties("effect descriptor", settable=EFFECT_DESCRIPTOR)
        effect = self.handle(_Effect(self.descriptor))
        assert self.act("OfxActionDescribe", effect) == OK
        self.contexts = {name.rpartition("Context")[2]: self._describe(name) for name in self.contexts_named()}

    def contexts_named(self) -> list[str]:
        return self.descriptor.values["OfxImageEffectPropSupportedContexts"]

    def _describe(self, context: str) -> _Effect:
        effect = _Effect(Properties("effect descriptor", settable=EFFECT_DESCRIPTOR), context)
        given = Properties("arguments", {"OfxImageEffectPropContext": context})
        with self._temporary(effect, given) as (handle, arguments):
            assert self.act("OfxImageEffectActionDescribeInContext", handle, arguments) == OK
        return effect

    def node(self, context: str = "Filter", **settings: Any) -> Node:
        """An instance; ``settings`` are values of parameters and the attributes of :class:`Node`."""
        return Node(self, context, **settings)

    def unload(self) -> None:
        assert self.act("OfxActionUnload") == OK

    # -- handles and actions

    def handle(self, thing: Any) -> int:
        self._next += 16
        self._objects[self._next] = thing
        return self._next

    def end(self, handle: int) -> None:
        self._ended[handle] = getattr(self._objects[handle], "what", type(self._objects[handle]).__name__)
        del self._objects[handle]

    @contextmanager
    def _temporary(self, *things: Any):
        handles = [self.handle(thing) for thing in things]
        try:
            yield handles
        finally:
            for handle in handles:
                self.end(handle)

    def act(self, action: str, effect: int | None = None, given: int | None = None, answer: int | None = None) -> int:
        before = getattr(self._local, "action", None)
        self._local.action = action
        try:
            return self.plugin.main(action.encode(), effect, given, answer)
        finally:
            self._local.action = before

    @property
    def action(self) -> str:
        return getattr(self._local, "action", None) or "no action"

    def note(self, what: str) -> None:
        self.violations.append(f"{self.action}: {what}")

    def _find(self, handle: int | None, kind: type) -> Any:
        thing = self._objects.get(handle or 0)
        if not isinstance(thing, kind):
            what = f"the ended handle of {self._ended[handle]}" if handle in self._ended else "no handle"
            raise _BadHandle(f"{what} is used as a {kind.__name__}")
        return thing

    def _guarded(self, function: Callable[..., Any], failure: Any) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except _BadHandle as error:
                self.note(str(error))
                return BAD_HANDLE if failure is not None else None
            except Exception as error:
                self.note(f"the host failed in {function.__name__}: {error!r}")
                return failure

        return call

    # -- suites

    def _fetch_suite(self, host: int, name: bytes, version: int) -> int | None:
        self.suites_asked.append((name.decode(), version))
        found = self._suites.get((name.decode(), version))
        return c.addressof(found) if found is not None else None

    def _suite(self, *functions: tuple[str, Any, Callable[..., Any] | None]) -> Any:
        pointers = []
        for name, arguments, function in functions:
            if function is None:
                function, arguments = self._unexpected(name), ()
            made = c.CFUNCTYPE(c.c_int, *arguments)(self._guarded(function, UNKNOWN))
            self._keep.append(made)
            pointers.append(c.cast(made, c.c_void_p))
        return (c.c_void_p * len(pointers))(*pointers)

    def _unexpected(self, name: str) -> Callable[..., int]:
        def call(*_: Any) -> int:
            self.note(f"{name} is not to be called")
            return UNKNOWN

        return call

    def _make_suites(self) -> dict[tuple[str, int], Any]:
        handle, text, index, double, count = c.c_void_p, c.c_char_p, c.c_int, c.c_double, c.c_int
        into = c.c_void_p
        properties = self._suite(
            ("propSetPointer", (handle, text, index, into), lambda *a: self._set(POINTER, *a)),
            ("propSetString", (handle, text, index, text), lambda *a: self._set(STRING, *a)),
            ("propSetDouble", (handle, text, index, double), lambda *a: self._set(DOUBLE, *a)),
            ("propSetInt", (handle, text, index, c.c_int), lambda *a: self._set(INT, *a)),
            ("propSetPointerN", (), None),
            ("propSetStringN", (), None),
            ("propSetDoubleN", (handle, text, count, c.POINTER(double)), lambda *a: self._set_all(DOUBLE, *a)),
            ("propSetIntN", (), None),
            ("propGetPointer", (handle, text, index, into), lambda *a: self._get(POINTER, *a)),
            ("propGetString", (handle, text, index, into), lambda *a: self._get(STRING, *a)),
            ("propGetDouble", (handle, text, index, into), lambda *a: self._get(DOUBLE, *a)),
            ("propGetInt", (handle, text, index, into), lambda *a: self._get(INT, *a)),
            ("propGetPointerN", (), None),
            ("propGetStringN", (), None),
            ("propGetDoubleN", (handle, text, count, into), lambda *a: self._get_all(DOUBLE, *a)),
            ("propGetIntN", (handle, text, count, into), lambda *a: self._get_all(INT, *a)),
            ("propReset", (), None),
            ("propGetDimension", (), None),
        )
        effects = self._suite(
            ("getPropertySet", (handle, into), self._get_property_set),
            ("getParamSet", (handle, into), self._get_param_set),
            ("clipDefine", (handle, text, into), self._clip_define),
            ("clipGetHandle", (handle, text, into, into), self._clip_get_handle),
            ("clipGetPropertySet", (), None),
            ("clipGetImage", (handle, double, into, into), self._clip_get_image),
            ("clipReleaseImage", (handle,), self._clip_release_image),
            ("clipGetRegionOfDefinition", (handle, double, into), self._clip_region),
            ("abort", (handle,), self._abort),
            ("imageMemoryAlloc", (), None),
            ("imageMemoryFree", (), None),
            ("imageMemoryLock", (), None),
            ("imageMemoryUnlock", (), None),
        )
        parameters = self._suite(
            ("paramDefine", (handle, text, text, into), self._param_define),
            ("paramGetHandle", (handle, text, into, into), self._param_get_handle),
            ("paramSetGetPropertySet", (), None),
            ("paramGetPropertySet", (), None),
            ("paramGetValue", (handle, into), lambda param, to: self._param_get(param, None, to)),
            ("paramGetValueAtTime", (handle, double, into), self._param_get),
            ("paramGetDerivative", (), None),
            ("paramGetIntegral", (), None),
            ("paramSetValue", (handle, into), self._param_set),  # an int or a char *: one register either way
            *((f"param{name}", (), None) for name in ("SetValueAtTime", "GetNumKeys", "GetKeyTime", "GetKeyIndex")),
            *((f"param{name}", (), None) for name in ("DeleteKey", "DeleteAllKeys", "Copy", "EditBegin", "EditEnd")),
        )
        said = (handle, text, text, text, text)
        messages = self._suite(
            ("message", said, lambda *a: self._message("message", *a)),
            ("setPersistentMessage", said, lambda *a: self._message("persistent", *a)),
            ("clearPersistentMessage", (handle,), self._clear_message),
        )
        suites = {
            ("OfxPropertySuite", 1): properties,
            ("OfxImageEffectSuite", 1): effects,
            ("OfxParameterSuite", 1): parameters,
        }
        if self.message_version:
            suites["OfxMessageSuite", self.message_version] = (
                messages if self.message_version == 2 else (c.c_void_p * 1)(messages[0])
            )
        work = c.CFUNCTYPE(None, c.c_uint, c.c_uint, c.c_void_p)
        threads = self._suite(
            ("multiThread", (work, c.c_uint, into), self._multi_thread),
            ("multiThreadNumCPUs", (into,), self._count_processors),
            *((f"multiThread{name}", (), None) for name in ("Index", "IsSpawnedThread")),
            *((f"mutex{name}", (), None) for name in ("Create", "Destroy", "Lock", "UnLock", "TryLock")),
        )
        if self.processors:
            suites["OfxMultiThreadSuite", 1] = threads
        lengths = [len(suite) for suite in (properties, effects, parameters, messages, threads)]
        assert lengths == [18, 13, 18, 3, 9]
        return suites

    # -- threads

    def _multi_thread(self, work: Callable[[int, int, int], None], count: int, context: int) -> int:
        if not self.lends_threads:
            return FAILED
        threads = [threading.Thread(target=work, args=(index, count, context)) for index in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.bands.append(count)
        return OK

    def _count_processors(self, to: int) -> int:
        c.c_uint.from_address(to).value = self.processors
        return OK

    # -- properties

    def _set(self, kind: str, handle: int, name: bytes, index: int, value: Any) -> int:
        found: Properties = self._find(handle, Properties)
        key = name.decode()
        if key in self.missing:
            return UNKNOWN
        if key not in found.settable:
            self.note(f"{key} must not be set on {found.what}")
            return UNKNOWN
        wanted, count = found.settable[key]
        if wanted != kind:
            self.note(f"{key} on {found.what} is {wanted}, not {kind}")
            return VALUE
        values = found.values.setdefault(key, [])
        if index < 0 or index > len(values) or (count is not None and index >= count):
            self.note(f"{key} on {found.what} has no index {index}")
            return BAD_INDEX
        values[index : index + 1] = [value.decode() if isinstance(value, bytes) else value]
        return OK

    def _set_all(self, kind: str, handle: int, name: bytes, count: int, values: Any) -> int:
        found: Properties = self._find(handle, Properties)
        wanted = found.settable.get(name.decode(), (kind, count))[1]
        if wanted not in (None, count):
            self.note(f"{name.decode()} on {found.what} has {wanted} values, not {count}")
            return BAD_INDEX
        return max(self._set(kind, handle, name, index, values[index]) for index in range(count))

    def _values(self, kind: str, handle: int, name: bytes) -> list[Any] | None:
        found: Properties = self._find(handle, Properties)
        key = name.decode()
        if key in self.missing:
            return None
        if key not in found.values:
            if key not in found.settable and key not in found.optional:
                self.note(f"{key} is not there on {found.what}")
            return None
        values = found.values[key]
        if not all(isinstance(value, _PYTHON[kind]) for value in values):
            self.note(f"{key} on {found.what} is not {kind}")
            return None
        return values

    def _get(self, kind: str, handle: int, name: bytes, index: int, to: int) -> int:
        values = self._values(kind, handle, name)
        if values is None:
            return UNKNOWN
        if not 0 <= index < len(values):
            return BAD_INDEX
        self._store(kind, to, values[index])
        return OK

    def _get_all(self, kind: str, handle: int, name: bytes, count: int, to: int) -> int:
        values = self._values(kind, handle, name)
        if values is None:
            return UNKNOWN
        if len(values) != count:
            self.note(f"{name.decode()} has {len(values)} values, not {count}")
            return BAD_INDEX
        for index, value in enumerate(values):
            self._store(kind, to + index * c.sizeof(_STORES[kind]), value)
        return OK

    def _store(self, kind: str, to: int, value: Any) -> None:
        if kind == STRING:
            buffer = c.create_string_buffer(value.encode())
            self._strings.append(buffer)
            value = c.addressof(buffer)
            kind = POINTER
        _STORES[kind].from_address(to).value = value

    # -- effects and clips

    def _get_property_set(self, handle: int, to: int) -> int:
        self._store(POINTER, to, self._find(handle, _Effect).properties_handle(self))
        return OK

    def _get_param_set(self, handle: int, to: int) -> int:
        effect: _Effect = self._find(handle, _Effect)
        if self.action == "OfxActionDescribe":
            self.note("parameters are not defined in Describe")
            return FAILED
        self._store(POINTER, to, effect.parameters_handle(self))
        return OK

    def _clip_define(self, handle: int, name: bytes, to: int) -> int:
        effect: _Effect = self._find(handle, _Effect)
        if self.action != "OfxImageEffectActionDescribeInContext" or name.decode() in effect.clips:
            self.note(f"clip {name.decode()} must not be defined here")
            return FAILED
        effect.clips[name.decode()] = Properties(f"clip descriptor {name.decode()}", settable=CLIP_DESCRIPTOR)
        self._store(POINTER, to, self.handle(effect.clips[name.decode()]))
        return OK

    def _clip_get_handle(self, handle: int, name: bytes, to: int, properties: int | None) -> int:
        effect: _Effect = self._find(handle, _Effect)
        if effect.node is None or name.decode() not in effect.node.clip_handles:
            self.note(f"there is no clip {name.decode()}")
            return BAD_HANDLE
        clip, properties_of = effect.node.clip_handles[name.decode()]
        self._store(POINTER, to, clip)
        if properties:
            self._store(POINTER, properties, properties_of)
        return OK

    def _clip_get_image(self, handle: int, time: float, region: int | None, to: int) -> int:
        clip: _ClipOfNode = self._find(handle, _ClipOfNode)
        if self.action != "OfxImageEffectActionRender":
            self.note(f"an image of {clip.name} is fetched")
            return FAILED
        return clip.node.give_image(clip.name, time, to)

    def _clip_release_image(self, handle: int) -> int:
        self._find(handle, _ImageOfNode).node.take_image_back(handle)
        return OK

    def _clip_region(self, handle: int, time: float, to: int) -> int:
        clip: _ClipOfNode = self._find(handle, _ClipOfNode)
        region = clip.node.region_of(clip.name)
        if region is None:
            return FAILED
        for index, value in enumerate(region):
            self._store(DOUBLE, to + 8 * index, value)
        return OK

    def _abort(self, handle: int) -> int:
        effect: _Effect = self._find(handle, _Effect)
        return int(effect.node is not None and effect.node.asked_to_abort())

    # -- parameters

    def _param_define(self, handle: int, kind: bytes, name: bytes, to: int) -> int:
        parameters: _Parameters = self._find(handle, _Parameters)
        if self.action != "OfxImageEffectActionDescribeInContext" or name.decode() in parameters.effect.parameters:
            self.note(f"parameter {name.decode()} must not be defined here")
            return FAILED
        made = Properties(f"parameter {name.decode()}", {"type": kind.decode()}, PARAMETERS[kind.decode()])
        parameters.effect.parameters[name.decode()] = made
        self._store(POINTER, to, self.handle(made))
        return OK

    def _param_get_handle(self, handle: int, name: bytes, to: int, properties: int | None) -> int:
        parameters: _Parameters = self._find(handle, _Parameters)
        node = parameters.effect.node
        if node is None or name.decode() not in node.parameter_handles:
            self.note(f"there is no parameter {name.decode()}")
            return UNKNOWN
        self._store(POINTER, to, node.parameter_handles[name.decode()])
        return OK

    def _param_get(self, handle: int, time: float | None, to: int) -> int:
        parameter: _ParameterOfNode = self._find(handle, _ParameterOfNode)
        value = parameter.node.values[parameter.name]
        if callable(value):
            value = value(time)
        kind = {int: INT, float: DOUBLE, str: STRING}[type(value)]
        self._store(kind, to, value)
        return OK

    def _param_set(self, handle: int, value: int | None) -> int:
        parameter: _ParameterOfNode = self._find(handle, _ParameterOfNode)
        if self.action not in MAY_SET_VALUES:
            self.note(f"{parameter.name} must not be set here")
            return FAILED
        old = parameter.node.values[parameter.name]
        assert type(old) in (int, str)
        new = c.string_at(value).decode() if isinstance(old, str) else c.c_int(value or 0).value
        parameter.node.values[parameter.name] = new
        parameter.node.changed(parameter.name, "OfxChangePluginEdited")
        return OK

    # -- messages

    def _message(self, way: str, handle: int, kind: bytes, identifier: bytes, format: bytes, text: bytes) -> int:
        effect: _Effect = self._find(handle, _Effect)
        if kind != b"OfxMessageError" or format != b"%s" or effect.node is None:
            self.note(f"a message {kind!r} of format {format!r}")
            return FAILED
        effect.node.messages.append((way, text.decode()))
        if way == "persistent":
            effect.node.message = text.decode()
        return OK

    def _clear_message(self, handle: int) -> int:
        self._find(handle, _Effect).node.message = None
        return OK


class _BadHandle(Exception):
    pass


class _Effect:
    def __init__(self, properties: Properties, context: str = "", node: Node | None = None):
        self.properties, self.context, self.node = properties, context, node
        self.clips: dict[str, Properties] = {}
        self.parameters: dict[str, Properties] = {}
        self._handles: list[int] = []

    def properties_handle(self, host: Host) -> int:
        return self._made(host)[0]

    def parameters_handle(self, host: Host) -> int:
        return self._made(host)[1]

    def _made(self, host: Host) -> list[int]:
        if not self._handles:
            self._handles = [host.handle(self.properties), host.handle(_Parameters(self))]
        return self._handles


@dataclass
class _Parameters:
    effect: _Effect


@dataclass
class _ClipOfNode:
    node: Node
    name: str


class _ImageOfNode(Properties):
    def __init__(self, node: Node, image: _Image):
        super().__init__("image", image.values, optional=["OfxImageEffectPropPreMultiplication"])
        self.node, self.image = node, image


@dataclass
class _ParameterOfNode:
    node: Node
    name: str


class Node:
    """An instance.

    Attributes:
        source, mask: what is plugged in, or None.
        layout, output_layout: of source and mask, and of the output.
        output_bounds: x1, y1, x2, y2 of output images; the source's where it is None.
        scale: the render scale; pictures of clips are at that scale already.
        values: of the parameters; a value may be a function of time.
        message: the sentence that stands on the node. ``messages``: all that were ever shown.
        abort_after_s: seconds from the start of a render after which the host wants it to stop.
    """

    def __init__(self, host: Host, context: str, **settings: Any):
        described = host.contexts[context]
        self.host = host
        self.source: Clip | None = None
        self.mask: Clip | None = None
        self.layout = Layout()
        self.output_layout = Layout()
        self.output_bounds: tuple[int, int, int, int] | None = None
        self.scale = (1.0, 1.0)
        self.abort_after_s: float | None = None
        self.message: str | None = None
        self.messages: list[tuple[str, str]] = []
        self.refused_times: set[float] = set()
        self._jobs = threading.local()
        values = {"OfxImageEffectPropContext": described.context, "OfxPropInstanceData": None}
        instance = Properties("effect instance", values, {"OfxPropInstanceData": (POINTER, 1)})
        self._effect = _Effect(instance, described.context, self)
        self.values = {
            name: made.values.get("OfxParamPropDefault", [0])[0]
            for name, made in described.parameters.items()
            if made.values["type"] != ["OfxParamTypePushButton"]
        }
        for name, value in settings.items():
            if name in self.values:
                self.values[name] = value if callable(value) else type(self.values[name])(value)
            else:
                assert hasattr(self, name), name
                setattr(self, name, value)
        self.clip_handles = {}
        for name in described.clips:
            properties = Properties(f"clip {name}", self._clip_values(name), optional=CLIP_MAY_LACK)
            self.clip_handles[name] = (host.handle(_ClipOfNode(self, name)), host.handle(properties))
        self.parameter_handles = {name: host.handle(_ParameterOfNode(self, name)) for name in described.parameters}
        self.handle = host.handle(self._effect)
        assert host.act("OfxActionCreateInstance", self.handle) == OK

    def _clip_values(self, name: str) -> dict[str, Any]:
        clip = self.source if name != "Mask" else self.mask
        if clip is None:
            return {"OfxImageClipPropConnected": 0}
        return {
            "OfxImageClipPropConnected": 1,
            "OfxImageEffectPropFrameRange": clip.range or (float(min(clip.frames)), float(max(clip.frames))),
            "OfxImagePropPixelAspectRatio": clip.aspect,
            "OfxImageEffectPropPreMultiplication": "OfxImageAlphaUnPremultiplied",
        }

    def destroy(self) -> None:
        """Ends the instance and every handle that it knew."""
        assert self.host.act("OfxActionDestroyInstance", self.handle) == OK
        handles = [handle for pair in self.clip_handles.values() for handle in pair]
        for handle in (self.handle, *handles, *self.parameter_handles.values(), *self._effect._handles):
            self.host.end(handle)

    def changed(self, name: str, reason: str = "OfxChangeUserEdited") -> None:
        """Tells the instance that a parameter has changed."""
        told = Properties(
            "arguments",
            {
                "OfxPropType": "OfxTypeParameter",
                "OfxPropName": name,
                "OfxPropChangeReason": reason,
                "OfxPropTime": 0.0,
                "OfxImageEffectPropRenderScale": self.scale,
            },
        )
        with self.host._temporary(told) as (arguments,):
            self.host.act("OfxActionInstanceChanged", self.handle, arguments)

    def set(self, name: str, value: Any) -> None:
        """What an artist does in the panel."""
        self.values[name] = value
        self.changed(name)

    # -- one frame

    def ask(self, action: str, time: float, **given: Any) -> dict[str, list[Any]] | None:
        """The answer of an action other than render; None where the plug-in leaves it to the host."""
        given |= {"OfxPropTime": float(time), "OfxImageEffectPropRenderScale": self.scale}
        arguments = Properties("arguments", given)
        answer = Properties("answer", settable=ANSWERS[action])
        with self.host._temporary(arguments, answer) as (arguments_handle, answer_handle):
            status = self.host.act(action, self.handle, arguments_handle, answer_handle)
        if status not in (OK, DEFAULT):
            self.host.note(f"{action} gave {status}")
        return answer.values if status == OK else None

    def bounds(self) -> tuple[int, int, int, int]:
        if self.output_bounds is not None:
            return self.output_bounds
        assert self.source is not None
        height, width = next(iter(self.source.frames.values())).shape[:2]
        x, y = self.source.origin
        return x, y, x + width, y + height

    def region_of(self, name: str) -> tuple[float, ...] | None:
        clip = self.mask if name == "Mask" else self.source
        if clip is None:
            return None
        if clip.rod is not None:
            return clip.rod
        height, width = next(iter(clip.frames.values())).shape[:2]
        x, y = clip.origin
        across, up = clip.aspect / self.scale[0], 1 / self.scale[1]
        return x * across, y * up, (x + width) * across, (y + height) * up

    def render(self, time: float, window: tuple[int, int, int, int] | None = None, *, force: bool = False) -> Rendered:
        """One frame: what a host asks before, then the render action.

        Args:
            window: x1, y1, x2, y2 to render; the whole output where it is None. The rest of the output must stay.
            force: render even where the plug-in says that a clip is the result.
        """
        window = window or self.bounds()
        region = tuple(float(edge) for edge in window)
        identity = self.ask(
            "OfxImageEffectActionIsIdentity",
            time,
            OfxImageEffectPropRenderWindow=window,
            OfxImageEffectPropFieldToRender="OfxFieldNone",
        )
        if identity is not None and not force:
            assert identity["OfxPropTime"] == [time]
            return Rendered(OK, None, identity["OfxPropName"][0])
        self.ask("OfxImageEffectActionGetRegionOfDefinition", time)
        self.ask("OfxImageEffectActionGetRegionsOfInterest", time, OfxImageEffectPropRegionOfInterest=region)
        needed = self.ask("OfxImageEffectActionGetFramesNeeded", time)
        frames = tuple(needed["OfxImageClipPropFrameRange_Source"]) if needed else None
        return replace(self._render(time, window, frames or (time, time)), frames_needed=frames)

    def _render(self, time: float, window: tuple[int, int, int, int], frames: tuple[float, ...]) -> Rendered:
        x1, y1, x2, y2 = self.bounds()
        assert self.source is not None
        like = next(iter(self.source.frames.values()))
        blank = np.frombuffer(bytes([0x5A]) * ((y2 - y1) * (x2 - x1) * like.shape[2] * like.itemsize), like.dtype)
        output = _Image(blank.reshape(y2 - y1, x2 - x1, like.shape[2]), (x1, y1), self.output_layout)
        job = self._jobs.now = _Job(output, frames, time, clock.monotonic())
        given = Properties(
            "arguments",
            {
                "OfxPropTime": float(time),
                "OfxImageEffectPropFieldToRender": "OfxFieldNone",
                "OfxImageEffectPropRenderWindow": window,
                "OfxImageEffectPropRenderScale": self.scale,
            },
        )
        with self.host._temporary(given) as (arguments,):
            status = self.host.act("OfxImageEffectActionRender", self.handle, arguments)
        if job.out:
            self.host.note(f"{len(job.out)} images were not released")
        inside = (slice(y2 - window[3], y2 - window[1]), slice(window[0] - x1, window[2] - x1))
        if output.changed(inside):
            self.host.note("the output was written outside the render window")
        return Rendered(status, output.view.copy(), aborted_polls=job.polls)

    def give_image(self, name: str, time: float, to: int) -> int:
        job: _Job = self._jobs.now
        if name == "Output":
            image = job.output
        else:
            clip = self.source if name == "Source" else self.mask
            first, last = job.frames if name == "Source" else (job.time, job.time)
            if not first <= time <= last:
                self.host.note(f"{name} at {time} was not announced")
                return FAILED
            if clip is None or time in self.refused_times or time not in clip.frames:
                return FAILED
            image = _Image(np.asarray(clip.frames[int(time)]), clip.origin, self.layout, clip.aspect)
        handle = self.host.handle(_ImageOfNode(self, image))
        job.out[handle] = name
        self.host._store(POINTER, to, handle)
        return OK

    def take_image_back(self, handle: int) -> None:
        name = self._jobs.now.out.pop(handle)
        if name != "Output" and self.host._find(handle, _ImageOfNode).image.changed():
            self.host.note(f"{name} was written to")
        self.host.end(handle)

    def asked_to_abort(self) -> bool:
        job: _Job | None = getattr(self._jobs, "now", None)
        if self.host.action != "OfxImageEffectActionRender" or job is None:
            return False
        job.polls.append(clock.monotonic() - job.started)
        return self.abort_after_s is not None and job.polls[-1] >= self.abort_after_s


@dataclass
class _Job:
    """A render action under way, in the thread that runs it."""

    output: _Image
    frames: tuple[float, ...]
    time: float
    started: float
    out: dict[int, str] = field(default_factory=dict)
    polls: list[float] = field(default_factory=list)
