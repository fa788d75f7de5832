/* The parts of the plug-in: what it declares, what an instance holds, what it renders. */
#ifndef WETGATE_PLUGIN_H
#define WETGATE_PLUGIN_H

#include <stdatomic.h>

#include "client.h"
#include "host.h"
#include "pixels.h"

#ifndef WETGATE_VERSION
#define WETGATE_VERSION "0.0.0"
#endif

#define WETGATE_ID "org.wetgate.restore"

/* Of the parameters' names and meanings, whatever the program's version is: scripts open the node by it. */
#define WETGATE_NODE_MAJOR 1

/* Names that a host's scripts know: they never change. */
#define PARAM_MODEL "model"
#define PARAM_MIX "mix"
#define PARAM_SHOW "show"
#define PARAM_DEVICE "device"
#define PARAM_OFFSET "frameOffset"
#define PARAM_CURVES "curves"
#define PARAM_STATUS "status"
#define PARAM_REVISION "revision"
#define PARAM_UPDATE "update"

typedef struct { OfxImageClipHandle handle; OfxPropertySetHandle properties; } clip;

typedef struct {
    OfxImageEffectHandle effect;
    clip source, output, mask; /* mask.handle is NULL where the context has no mask */
    OfxParamHandle model, mix, show, device, offset, curves, status, revision;
    atomic_bool shows_error;
    atomic_int announced; /* the radius that the host was last told; -1 where it has not asked */
} instance;

/* What the artist has chosen; the paths are copies. */
typedef struct {
    char model[4096], curves[4096];
    float mix;
    wg_show show;
    uint8_t device; /* as the server numbers them */
    int offset;
} choices;

typedef struct { int before, after; } neighbours; /* how many frames of a window the source has on each side */

/* describe.c */
OfxStatus describe(OfxImageEffectHandle effect);
OfxStatus describe_in_context(OfxImageEffectHandle effect, OfxPropertySetHandle in);

/* instance.c */
OfxStatus create_instance(OfxImageEffectHandle effect);
OfxStatus destroy_instance(OfxImageEffectHandle effect);
OfxStatus instance_changed(OfxImageEffectHandle effect, OfxPropertySetHandle in);
OfxStatus is_identity(OfxImageEffectHandle effect, OfxPropertySetHandle in, OfxPropertySetHandle out);
OfxStatus region_of_definition(OfxImageEffectHandle effect, OfxPropertySetHandle in, OfxPropertySetHandle out);
OfxStatus regions_of_interest(OfxImageEffectHandle effect, OfxPropertySetHandle in, OfxPropertySetHandle out);
OfxStatus frames_needed(OfxImageEffectHandle effect, OfxPropertySetHandle in, OfxPropertySetHandle out);
OfxStatus clip_preferences(OfxPropertySetHandle out);

instance *instance_of(OfxImageEffectHandle effect); /* NULL where the host has lost it */
void read_choices(const instance *self, OfxTime time, choices *chosen);
bool changes_nothing(const choices *chosen); /* the scan comes out as it went in */
wg_stop stop_of(const instance *self);       /* asks the host whether to abort */
OfxStatus fail(instance *self, const char *sentence);
void succeed(instance *self);

neighbours neighbours_at(const instance *self, OfxTime time, int radius);

/* render.c */
OfxStatus render(OfxImageEffectHandle effect, OfxPropertySetHandle in);

#endif
