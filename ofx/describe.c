#include "plugin.h"

#include <string.h>

static const char *const depths[] = {"OfxBitDepthFloat", "OfxBitDepthShort", "OfxBitDepthByte"};

OfxStatus describe(OfxImageEffectHandle effect) {
    OfxPropertySetHandle set;
    if (host.effect->getPropertySet(effect, &set) != kOfxStatOK) {
        return kOfxStatErrBadHandle;
    }
    set_string(set, "OfxPropLabel", 0, "WetgateRestore");
    set_string(set, "OfxPropShortLabel", 0, "Wetgate");
    set_string(set, "OfxPropLongLabel", 0, "Wetgate Restore");
    set_string(set, "OfxImageEffectPluginPropGrouping", 0, "Wetgate");
    set_string(set, "OfxPropPluginDescription", 0,
               "Restores the scan with a model that Wetgate has trained. Frames are computed by the inference server, "
               "one for each user and machine, which the node starts when it needs it. Version " WETGATE_VERSION ".");
    set_string(set, "OfxPropVersionLabel", 0, WETGATE_VERSION);
    set_string(set, "OfxImageEffectPropSupportedContexts", 0, "OfxImageEffectContextFilter");
    set_string(set, "OfxImageEffectPropSupportedContexts", 1, "OfxImageEffectContextGeneral");
    for (int i = 0; i < 3; i++) {
        set_string(set, "OfxImageEffectPropSupportedPixelDepths", i, depths[i]);
    }
    set_int(set, "OfxImageEffectPluginPropSingleInstance", 0);
    set_int(set, "OfxImageEffectPluginPropHostFrameThreading", 0);
    set_int(set, "OfxImageEffectPropSupportsMultiResolution", 1);
    set_int(set, "OfxImageEffectPropSupportsTiles", 0);
    set_int(set, "OfxImageEffectPropTemporalClipAccess", 1);
    set_int(set, "OfxImageEffectPluginPropFieldRenderTwiceAlways", 0);
    set_int(set, "OfxImageEffectPropMultipleClipDepths", 0);
    set_int(set, "OfxImageEffectPropSupportsMultipleClipPARs", 0);
    set_string(set, "OfxImageEffectPluginRenderThreadSafety", 0, "OfxImageEffectRenderFullySafe");
    return kOfxStatOK;
}

static void define_clip(OfxImageEffectHandle effect, const char *name, const char *first, const char *second,
                        bool is_mask) {
    OfxPropertySetHandle set;
    if (host.effect->clipDefine(effect, name, &set) != kOfxStatOK) {
        return;
    }
    set_string(set, "OfxImageEffectPropSupportedComponents", 0, first);
    set_string(set, "OfxImageEffectPropSupportedComponents", 1, second);
    set_int(set, "OfxImageEffectPropSupportsTiles", 0);
    if (is_mask) {
        set_int(set, "OfxImageClipPropOptional", 1);
        set_int(set, "OfxImageClipPropIsMask", 1);
    } else {
        set_int(set, "OfxImageEffectPropTemporalClipAccess", 1);
    }
}

static OfxPropertySetHandle define(OfxParamSetHandle parameters, const char *type, const char *name, const char *label,
                                   const char *hint) {
    OfxPropertySetHandle set = NULL;
    if (host.parameter->paramDefine(parameters, type, name, &set) != kOfxStatOK || set == NULL) {
        return NULL;
    }
    set_string(set, "OfxPropLabel", 0, label);
    set_string(set, "OfxParamPropHint", 0, hint);
    set_string(set, "OfxParamPropScriptName", 0, name);
    return set;
}

static void define_file(OfxParamSetHandle parameters, const char *name, const char *label, const char *hint) {
    OfxPropertySetHandle set = define(parameters, "OfxParamTypeString", name, label, hint);
    if (set != NULL) {
        set_string(set, "OfxParamPropStringMode", 0, "OfxParamStringIsFilePath");
        set_int(set, "OfxParamPropStringFilePathExists", 1);
        set_string(set, "OfxParamPropDefault", 0, "");
        set_int(set, "OfxParamPropAnimates", 0);
    }
}

static void define_choice(OfxParamSetHandle parameters, const char *name, const char *label, const char *hint,
                          const char *const *options, int count) {
    OfxPropertySetHandle set = define(parameters, "OfxParamTypeChoice", name, label, hint);
    if (set != NULL) {
        for (int i = 0; i < count; i++) {
            set_string(set, "OfxParamPropChoiceOption", i, options[i]);
        }
        set_int(set, "OfxParamPropDefault", 0);
        set_int(set, "OfxParamPropAnimates", 0);
    }
}

static void define_mix(OfxParamSetHandle parameters) {
    OfxPropertySetHandle set = define(parameters, "OfxParamTypeDouble", PARAM_MIX, "mix",
                                      "How much of the restored picture: 0 is the scan, 1 the model's own values.");
    if (set != NULL) {
        set_double(set, "OfxParamPropDefault", 1);
        set_double(set, "OfxParamPropMin", 0);
        set_double(set, "OfxParamPropMax", 1);
        set_double(set, "OfxParamPropDisplayMin", 0);
        set_double(set, "OfxParamPropDisplayMax", 1);
    }
}

static void define_integer(OfxParamSetHandle parameters, const char *name, const char *label, const char *hint,
                           bool secret) {
    OfxPropertySetHandle set = define(parameters, "OfxParamTypeInteger", name, label, hint);
    if (set != NULL) {
        set_int(set, "OfxParamPropDefault", 0);
        set_int(set, "OfxParamPropAnimates", 0);
        set_int(set, "OfxParamPropSecret", secret);
        set_string(set, "OfxParamPropCacheInvalidation", 0, "OfxParamInvalidateAll");
    }
}

static void define_status(OfxParamSetHandle parameters) {
    OfxPropertySetHandle set = define(parameters, "OfxParamTypeString", PARAM_STATUS, "status",
                                      "What is known of the model.");
    if (set != NULL) {
        set_string(set, "OfxParamPropStringMode", 0, "OfxParamStringIsSingleLine");
        set_string(set, "OfxParamPropDefault", 0, "Choose a model.");
        set_int(set, "OfxParamPropAnimates", 0);
        set_int(set, "OfxParamPropEnabled", 0);
        set_int(set, "OfxParamPropEvaluateOnChange", 0);
        set_int(set, "OfxParamPropPluginMayWrite", 1);
    }
}

static bool is_general(OfxPropertySetHandle in) {
    return strcmp(get_string(in, "OfxImageEffectPropContext"), "OfxImageEffectContextGeneral") == 0;
}

OfxStatus describe_in_context(OfxImageEffectHandle effect, OfxPropertySetHandle in) {
    static const char *const show[] = {"restored", "change", "coverage", "scan"};
    static const char *const device[] = {"auto", "cuda", "cpu"};
    OfxParamSetHandle parameters;
    define_clip(effect, "Source", "OfxImageComponentRGBA", "OfxImageComponentRGB", false);
    define_clip(effect, "Output", "OfxImageComponentRGBA", "OfxImageComponentRGB", false);
    if (is_general(in)) {
        define_clip(effect, "Mask", "OfxImageComponentAlpha", "OfxImageComponentRGBA", true);
    }
    if (host.effect->getParamSet(effect, &parameters) != kOfxStatOK) {
        return kOfxStatErrBadHandle;
    }
    define_file(parameters, PARAM_MODEL, "model",
                "The model's file: model.onnx of a run of `wetgate train`. A file that is trained further is taken anew.");
    define(parameters, "OfxParamTypePushButton", PARAM_UPDATE, "update",
           "Look at the model's file again and render anew, as after more training.");
    define_status(parameters);
    define_choice(parameters, PARAM_SHOW, "show",
                  "restored: the result. change: restored minus scan; in 8 and 16 bits around a middle grey. coverage: "
                  "where the model knows the colours from its pairs, 1 is white. scan: the picture as it came.",
                  show, 4);
    define_mix(parameters);
    define_choice(parameters, PARAM_DEVICE, "device",
                  "Where the model runs. auto: on the graphics card if it can, else on the processor.", device, 3);
    define_file(parameters, PARAM_CURVES, "exposure curves",
                "Curves that steady a flickering scan before the model sees it, as `wetgate curves` measures them. Leave "
                "it empty for a steady scan.");
    define_integer(parameters, PARAM_OFFSET, "frame offset",
                   "Added to the time to get a frame's number in the scan; exposure curves go by that number.", false);
    define_integer(parameters, PARAM_REVISION, "revision", "Raised to have everything rendered anew.", true);
    return kOfxStatOK;
}
