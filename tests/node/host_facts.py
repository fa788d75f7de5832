"""What the OpenFX 1.4 standard says of status codes, properties and actions, as far as the node meets it."""

from __future__ import annotations

import numpy as np

OK, FAILED, UNKNOWN, BAD_HANDLE, BAD_INDEX, VALUE, DEFAULT = 0, 1, 3, 9, 10, 11, 14

DEPTHS = {"OfxBitDepthByte": np.uint8, "OfxBitDepthShort": np.uint16, "OfxBitDepthFloat": np.float32}
COMPONENTS = {1: "OfxImageComponentAlpha", 3: "OfxImageComponentRGB", 4: "OfxImageComponentRGBA"}

INT, DOUBLE, STRING, POINTER = "int", "double", "string", "pointer"

# What a plug-in may set: name -> (type, number of values or None for any).
EFFECT_DESCRIPTOR = {
    "OfxPropLabel": (STRING, 1),
    "OfxPropShortLabel": (STRING, 1),
    "OfxPropLongLabel": (STRING, 1),
    "OfxPropPluginDescription": (STRING, 1),
    "OfxPropVersionLabel": (STRING, 1),
    "OfxPropVersion": (INT, None),
    "OfxImageEffectPluginPropGrouping": (STRING, 1),
    "OfxImageEffectPropSupportedContexts": (STRING, None),
    "OfxImageEffectPropSupportedPixelDepths": (STRING, None),
    "OfxImageEffectPluginPropSingleInstance": (INT, 1),
    "OfxImageEffectPluginRenderThreadSafety": (STRING, 1),
    "OfxImageEffectPluginPropHostFrameThreading": (INT, 1),
    "OfxImageEffectPropSupportsMultiResolution": (INT, 1),
    "OfxImageEffectPropSupportsTiles": (INT, 1),
    "OfxImageEffectPropTemporalClipAccess": (INT, 1),
    "OfxImageEffectPluginPropFieldRenderTwiceAlways": (INT, 1),
    "OfxImageEffectPropMultipleClipDepths": (INT, 1),
    "OfxImageEffectPropSupportsMultipleClipPARs": (INT, 1),
    "OfxImageEffectPropClipPreferencesSlaveParam": (STRING, None),
}
CLIP_DESCRIPTOR = {
    "OfxPropLabel": (STRING, 1),
    "OfxImageEffectPropSupportedComponents": (STRING, None),
    "OfxImageEffectPropTemporalClipAccess": (INT, 1),
    "OfxImageClipPropOptional": (INT, 1),
    "OfxImageClipPropIsMask": (INT, 1),
    "OfxImageEffectPropSupportsTiles": (INT, 1),
}
ANY_PARAMETER = {
    "OfxPropLabel": (STRING, 1),
    "OfxParamPropHint": (STRING, 1),
    "OfxParamPropScriptName": (STRING, 1),
    "OfxParamPropParent": (STRING, 1),
    "OfxParamPropSecret": (INT, 1),
    "OfxParamPropEnabled": (INT, 1),
}
WITH_VALUE = ANY_PARAMETER | {
    "OfxParamPropAnimates": (INT, 1),
    "OfxParamPropPersistant": (INT, 1),
    "OfxParamPropEvaluateOnChange": (INT, 1),
    "OfxParamPropPluginMayWrite": (INT, 1),
    "OfxParamPropCacheInvalidation": (STRING, 1),
    "OfxParamPropCanUndo": (INT, 1),
}


def _ranged(kind: str) -> dict[str, tuple[str, int | None]]:
    names = ("Default", "Min", "Max", "DisplayMin", "DisplayMax")
    return WITH_VALUE | {f"OfxParamProp{name}": (kind, 1) for name in names}


PARAMETERS = {
    "OfxParamTypeInteger": _ranged(INT),
    "OfxParamTypeDouble": _ranged(DOUBLE),
    "OfxParamTypeChoice": WITH_VALUE | {"OfxParamPropDefault": (INT, 1), "OfxParamPropChoiceOption": (STRING, None)},
    "OfxParamTypeString": WITH_VALUE
    | {
        "OfxParamPropDefault": (STRING, 1),
        "OfxParamPropStringMode": (STRING, 1),
        "OfxParamPropStringFilePathExists": (INT, 1),
    },
    "OfxParamTypePushButton": ANY_PARAMETER,
}
# What a plug-in may write into the last argument of an action.
ANSWERS = {
    "OfxImageEffectActionGetRegionOfDefinition": {"OfxImageEffectPropRegionOfDefinition": (DOUBLE, 4)},
    "OfxImageEffectActionGetRegionsOfInterest": {
        "OfxImageClipPropRoI_Source": (DOUBLE, 4),
        "OfxImageClipPropRoI_Mask": (DOUBLE, 4),
    },
    "OfxImageEffectActionGetFramesNeeded": {
        "OfxImageClipPropFrameRange_Source": (DOUBLE, None),
        "OfxImageClipPropFrameRange_Mask": (DOUBLE, None),
    },
    "OfxImageEffectActionIsIdentity": {"OfxPropName": (STRING, 1), "OfxPropTime": (DOUBLE, 1)},
    "OfxImageEffectActionGetClipPreferences": {"OfxImageEffectFrameVarying": (INT, 1)},
}
CLIP_MAY_LACK = ("OfxImageEffectPropFrameRange", "OfxImagePropPixelAspectRatio", "OfxImageEffectPropPreMultiplication")
MAY_SET_VALUES = {"OfxActionCreateInstance", "OfxActionInstanceChanged"}
