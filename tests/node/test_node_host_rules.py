"""What the node tells a host about itself, and hosts that are unlike others."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from host import OK, Clip, Host, Layout

import wetgate


@pytest.fixture
def host(library, places):
    loaded = Host(library)
    yield loaded
    loaded.unload()
    assert loaded.violations == []


def test_the_node_says_who_it_is(host):
    said = host.descriptor.values
    plugin = host.plugin
    assert (plugin.api, plugin.version, plugin.identifier) == (b"OfxImageEffectPluginAPI", 1, b"org.wetgate.restore")
    major, minor, patch = (int(part) for part in wetgate.__version__.split("."))
    assert (plugin.major, plugin.minor) == (1, 10000 * major + 100 * minor + patch)
    assert said["OfxPropLabel"] == ["WetgateRestore"]
    assert said["OfxImageEffectPluginPropGrouping"] == ["Wetgate"]
    assert said["OfxPropVersionLabel"] == [wetgate.__version__]
    assert list(host.contexts) == ["Filter", "General"]
    assert said["OfxImageEffectPropSupportedPixelDepths"] == ["OfxBitDepthFloat", "OfxBitDepthShort", "OfxBitDepthByte"]
    assert said["OfxImageEffectPluginRenderThreadSafety"] == ["OfxImageEffectRenderFullySafe"]
    assert said["OfxImageEffectPropSupportsTiles"] == [0]
    assert said["OfxImageEffectPropTemporalClipAccess"] == [1]


def test_only_the_general_context_has_a_mask(host):
    assert list(host.contexts["Filter"].clips) == ["Source", "Output"]
    clips = host.contexts["General"].clips
    assert list(clips) == ["Source", "Output", "Mask"]
    assert clips["Mask"].values["OfxImageClipPropOptional"] == clips["Mask"].values["OfxImageClipPropIsMask"] == [1]
    assert clips["Source"].values["OfxImageEffectPropTemporalClipAccess"] == [1]


def test_every_parameter_has_a_label_a_hint_and_a_name_that_stays(host):
    parameters = host.contexts["General"].parameters
    assert list(parameters) == [
        *("model", "update", "status", "show", "mix", "device", "curves", "frameOffset", "revision"),
    ]
    for name, made in parameters.items():
        assert made.values["OfxPropLabel"][0]
        assert made.values["OfxParamPropHint"][0].endswith(".")
        assert made.values["OfxParamPropScriptName"] == [name]
    assert parameters["show"].values["OfxParamPropChoiceOption"] == ["restored", "change", "coverage", "scan"]
    assert parameters["device"].values["OfxParamPropChoiceOption"] == ["auto", "cuda", "cpu"]
    assert parameters["revision"].values["OfxParamPropSecret"] == [1]
    assert parameters["status"].values["OfxParamPropEnabled"] == [0]


def test_the_node_asks_for_the_scans_whole_picture(host, gain, picture):
    clip = Clip({1: picture(1)}, origin=(3, 4))
    node = host.node(model=gain(0.5), source=clip)
    whole = [3.0, 4.0, 27.0, 20.0]
    interest = node.ask(
        "OfxImageEffectActionGetRegionsOfInterest", 1, OfxImageEffectPropRegionOfInterest=(5.0, 5.0, 6.0, 6.0)
    )
    assert interest == {"OfxImageClipPropRoI_Source": whole}
    definition = node.ask("OfxImageEffectActionGetRegionOfDefinition", 1)
    assert definition == {"OfxImageEffectPropRegionOfDefinition": whole}
    assert node.ask("OfxImageEffectActionGetClipPreferences", 1) == {"OfxImageEffectFrameVarying": [1]}


def test_suites_that_the_node_can_do_without_are_not_asked_for(host):
    assert host.suites_asked == [
        ("OfxPropertySuite", 1),
        ("OfxImageEffectSuite", 1),
        ("OfxParameterSuite", 1),
        ("OfxMessageSuite", 2),
        ("OfxMultiThreadSuite", 1),
    ]


@pytest.mark.parametrize(
    "missing",
    [
        "OfxImageEffectPropRenderScale",
        "OfxImageEffectPropPreMultiplication",
        "OfxImagePropPixelAspectRatio",
        "OfxImageEffectPropFrameRange",
        "OfxImageEffectPropTemporalClipAccess",
        "OfxImageEffectPropRenderWindow",
        "OfxPropTime",
        "OfxImageClipPropConnected",
        "OfxPropPluginDescription",
        "OfxParamPropCacheInvalidation",
        "OfxImageEffectFrameVarying",
    ],
)
def test_a_property_that_a_host_does_not_know_is_done_without(library, places, gain, picture, missing):
    host = Host(library, missing=[missing])
    scan = picture(1)
    node = host.node("General", model=gain(0.5), source=Clip({0: scan}), mask=Clip({0: np.ones_like(scan)}))
    result = node.render(0)
    assert result.status == OK
    np.testing.assert_array_equal(result.pixels[..., :3], scan[..., :3] * np.float32(0.5))
    node.destroy()
    assert host.violations == []


@pytest.mark.parametrize(
    "missing",
    [
        "OfxImagePropData",
        "OfxImagePropBounds",
        "OfxImagePropRowBytes",
        "OfxImageEffectPropPixelDepth",
        "OfxImageEffectPropComponents",
    ],
)
def test_images_that_say_too_little_are_refused_and_given_back(library, places, gain, picture, missing):
    host = Host(library, missing=[missing])
    assert host.node(model=gain(0.5), source=Clip({1: picture(1)})).render(1).status != OK
    assert host.violations == []


def test_an_instance_that_the_host_has_lost_is_an_error_not_a_crash(library, places, gain, picture):
    host = Host(library, missing=["OfxPropInstanceData"])
    node = host.node(model=gain(0.5), source=Clip({1: picture(1)}))
    assert node.render(1).status != OK
    node.destroy()
    assert host.violations == []


def test_source_and_output_of_two_kinds_are_a_sentence(host, gain, picture):
    node = host.node(model=gain(0.5), source=Clip({1: picture(1), 2: picture(2, dtype=np.uint8)}))
    assert node.render(1).status == OK
    assert node.render(2).status != OK
    assert "different formats" in node.message


def test_an_input_without_a_picture_fails_quietly(host, gain, picture):
    node = host.node(model=gain(0.5), source=Clip({1: picture(1)}))
    assert node.render(2).status != OK
    assert node.messages == []


def test_actions_may_come_in_any_order(host, gain, picture):
    scan = picture(1)
    node = host.node(model=gain(0.5), source=Clip({1: scan}), layout=Layout(from_top=True))
    for action in (
        "OfxActionPurgeCaches",
        "OfxActionSyncPrivateData",
        "OfxImageEffectActionBeginSequenceRender",
        "none",
    ):
        assert host.act(action, node.handle) == 14  # the host does what it does by default
    assert node._render(1, node.bounds(), (1, 1)).status == OK  # never asked for identity or frames
    node.destroy()
    again = host.node("General", model=gain(0.5), source=Clip({1: scan}))
    assert again.render(1).status == OK


def test_what_a_script_sets_is_no_news_from_the_artist(host, gain, picture):
    node = host.node(model=gain(0.5), source=Clip({1: picture(1)}))
    node.changed("model", "OfxChangePluginEdited")
    assert node.values["status"] == "Choose a model."
    node.set("model", "")
    assert node.values["status"] == "Choose a model."
    node.set("model", gain(0.5))
    assert node.values["status"].startswith("Ready: color")


def test_the_host_notices_what_is_forbidden(library, places, gain, picture):
    """The strict host itself: each note can come."""
    host = Host(library)
    node = host.node(model=gain(0.5), source=Clip({1: picture(1)}))
    calls = {
        "must not be set on": lambda: host._set("int", host.handle(node._effect.properties), b"OfxPropLabel", 0, 1),
        "is string, not int": lambda: host._set("int", host.handle(host.descriptor), b"OfxPropLabel", 0, 1),
        "has no index 1": lambda: host._set("string", host.handle(host.descriptor), b"OfxPropLabel", 1, b"x"),
        "is not there on": lambda: host._get("int", host.handle(host.descriptor), b"OfxNothing", 0, 0),
        "is fetched": lambda: host._clip_get_image(node.clip_handles["Source"][0], 1.0, None, 0),
        "must not be set here": lambda: host._param_set(node.parameter_handles["status"], None),
        "must not be defined here": lambda: host._clip_define(node.handle, b"Source", 0),
    }
    for note, call in calls.items():
        call()
        assert note in host.violations.pop()
    kept = {}

    def keep(handle):
        kept[handle] = True
        return OK

    node.take_image_back = keep
    node.render(1)
    assert host.violations.pop() == "no action: 2 images were not released"


@pytest.mark.parametrize(
    ("clip", "note"),
    [
        ("Output", "no action: the output was written outside the render window"),
        ("Source", "OfxImageEffectActionRender: Source was written to"),
    ],
)
def test_the_host_notices_writing_where_nothing_is_to_be_written(library, places, gain, picture, clip, note):
    host = Host(library)
    node = host.node(model=gain(0.5), source=Clip({1: picture(1)}))
    given = node.give_image

    def spoil(name, time, to):
        status = given(name, time, to)
        if name == clip:
            handle = ctypes.c_void_p.from_address(to).value
            host._objects[handle].image.bytes[:3] = 0
        return status

    node.give_image = spoil
    node.render(1)
    assert host.violations == [note]


def test_the_host_notices_handles_that_have_ended(library, places, gain, picture):
    host = Host(library)
    node = host.node(model=gain(0.5), source=Clip({1: picture(1)}))
    parameter = node.parameter_handles["mix"]
    node.destroy()
    value = ctypes.c_double()
    get = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_double, ctypes.c_void_p)
    assert get(host._suites["OfxParameterSuite", 1][5])(parameter, 1.0, ctypes.addressof(value)) == 9
    assert host.violations == ["no action: the ended handle of _ParameterOfNode is used as a _ParameterOfNode"]


def test_no_path_of_the_machine_is_in_the_binary(library):
    assert str(Path(__file__).resolve().parents[2]).encode() not in Path(library).read_bytes()
