#include <stdio.h>
#include <string.h>

#include "plugin.h"

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

static void set_host(OfxHost *given) { host.host = given; }

static OfxStatus act(const char *action, const void *handle, OfxPropertySetHandle in, OfxPropertySetHandle out) {
    OfxImageEffectHandle effect = (OfxImageEffectHandle)(uintptr_t)handle;
    if (strcmp(action, "OfxActionLoad") == 0) {
        return host_load() ? kOfxStatOK : kOfxStatErrMissingHostFeature;
    }
    if (host.property == NULL) {
        return kOfxStatErrMissingHostFeature; /* not loaded */
    }
    if (strcmp(action, "OfxActionUnload") == 0) {
        wg_client_end();
        return kOfxStatOK;
    }
    if (strcmp(action, "OfxActionDescribe") == 0) {
        return describe(effect);
    }
    if (strcmp(action, "OfxImageEffectActionDescribeInContext") == 0) {
        return describe_in_context(effect, in);
    }
    if (strcmp(action, "OfxActionCreateInstance") == 0) {
        return create_instance(effect);
    }
    if (strcmp(action, "OfxActionDestroyInstance") == 0) {
        return destroy_instance(effect);
    }
    if (strcmp(action, "OfxActionInstanceChanged") == 0) {
        return instance_changed(effect, in);
    }
    if (strcmp(action, "OfxImageEffectActionGetClipPreferences") == 0) {
        return clip_preferences(out);
    }
    if (strcmp(action, "OfxImageEffectActionGetRegionOfDefinition") == 0) {
        return region_of_definition(effect, in, out);
    }
    if (strcmp(action, "OfxImageEffectActionGetRegionsOfInterest") == 0) {
        return regions_of_interest(effect, in, out);
    }
    if (strcmp(action, "OfxImageEffectActionGetFramesNeeded") == 0) {
        return frames_needed(effect, in, out);
    }
    if (strcmp(action, "OfxImageEffectActionIsIdentity") == 0) {
        return is_identity(effect, in, out);
    }
    if (strcmp(action, "OfxImageEffectActionRender") == 0) {
        return render(effect, in);
    }
    return kOfxStatReplyDefault;
}

EXPORT int OfxGetNumberOfPlugins(void);
EXPORT OfxPlugin *OfxGetPlugin(int index);

int OfxGetNumberOfPlugins(void) { return 1; }

/* The program's version as one number, for hosts keep what a node of some version has described. */
static unsigned version_number(void) {
    unsigned major = 0, minor = 0, patch = 0;
    sscanf(WETGATE_VERSION, "%u.%u.%u", &major, &minor, &patch);
    return 10000 * major + 100 * minor + patch;
}

OfxPlugin *OfxGetPlugin(int index) {
    static OfxPlugin plugin = {"OfxImageEffectPluginAPI", 1, WETGATE_ID, WETGATE_NODE_MAJOR, 0, set_host, act};
    plugin.pluginVersionMinor = version_number();
    return index == 0 ? &plugin : NULL;
}
