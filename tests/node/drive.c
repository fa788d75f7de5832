/* A host in C as small as can be, compiled together with the node so that sanitizers and valgrind see all of it.
 *
 *     drive MODEL    where MODEL halves every value; the server is found or started as ever
 *
 * Runs every action, renders in two threads, in changing sizes, gives up, names models that do not do, and unloads. It
 * exits with 0 if every picture and status was right. What the standard forbids is tests/node/host.py's matter.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ofx_abi.h"

int OfxGetNumberOfPlugins(void);
OfxPlugin *OfxGetPlugin(int index);

#define CHECK(true_)                                                    \
    do {                                                                \
        if (!(true_)) {                                                 \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #true_); \
            exit(1);                                                    \
        }                                                               \
    } while (0)

/* -- properties: a list of names and values --------------------------------------------------------- */

typedef struct entry {
    char name[64], text[400];
    int index, whole;
    double real;
    void *pointer;
    struct entry *next;
} entry;

typedef struct { entry *first; } set;

static entry *find(OfxPropertySetHandle handle, const char *name, int index) {
    entry *found = ((set *)handle)->first;
    while (found != NULL && (found->index != index || strcmp(found->name, name) != 0)) {
        found = found->next;
    }
    return found;
}

static entry *make(void *handle, const char *name, int index) {
    entry *made = find(handle, name, index);
    if (made == NULL) {
        made = calloc(1, sizeof *made);
        snprintf(made->name, sizeof made->name, "%s", name);
        made->index = index;
        made->next = ((set *)handle)->first;
        ((set *)handle)->first = made;
    }
    return made;
}

static void empty(set *emptied) {
    while (emptied->first != NULL) {
        entry *next = emptied->first->next;
        free(emptied->first);
        emptied->first = next;
    }
}

static OfxStatus set_pointer(OfxPropertySetHandle s, const char *n, int i, void *v) { return make(s, n, i)->pointer = v, 0; }
static OfxStatus set_real(OfxPropertySetHandle s, const char *n, int i, double v) { return make(s, n, i)->real = v, 0; }
static OfxStatus set_whole(OfxPropertySetHandle s, const char *n, int i, int v) { return make(s, n, i)->whole = v, 0; }
static OfxStatus set_text(OfxPropertySetHandle s, const char *n, int i, const char *v) {
    snprintf(make(s, n, i)->text, sizeof ((entry *)0)->text, "%s", v);
    return kOfxStatOK;
}
static OfxStatus set_reals(OfxPropertySetHandle s, const char *n, int count, const double *v) {
    for (int i = 0; i < count; i++) {
        set_real(s, n, i, v[i]);
    }
    return kOfxStatOK;
}

#define GETTER(NAME, TYPE, FIELD)                                                             \
    static OfxStatus NAME(OfxPropertySetHandle s, const char *name, int index, TYPE *value) { \
        entry *found = find(s, name, index);                                                  \
        if (found == NULL) {                                                                  \
            return kOfxStatFailed;                                                            \
        }                                                                                     \
        *value = found->FIELD;                                                                \
        return kOfxStatOK;                                                                    \
    }
GETTER(get_pointer_, void *, pointer)
GETTER(get_text, char *, text)
GETTER(get_real, double, real)
GETTER(get_whole, int, whole)

static OfxStatus get_reals(OfxPropertySetHandle s, const char *name, int count, double *values) {
    OfxStatus status = kOfxStatOK;
    for (int i = 0; i < count; i++) {
        status |= get_real(s, name, i, &values[i]);
    }
    return status;
}
static OfxStatus get_wholes(OfxPropertySetHandle s, const char *name, int count, int *values) {
    OfxStatus status = kOfxStatOK;
    for (int i = 0; i < count; i++) {
        status |= get_whole(s, name, i, &values[i]);
    }
    return status;
}

/* -- an effect: one source, one output, parameters by name ------------------------------------------ */

typedef struct {
    set properties, source, output, values;
    float *pixels, *result;
    int width, height, from_top;
    int polls_until_abort; /* -1: never */
    int errors;
} effect;

static _Thread_local effect *rendering;

static OfxStatus get_properties(OfxImageEffectHandle e, OfxPropertySetHandle *to) {
    return *to = (OfxPropertySetHandle)&((effect *)e)->properties, 0;
}
static OfxStatus get_parameters(OfxImageEffectHandle e, OfxParamSetHandle *to) {
    return *to = (OfxParamSetHandle)&((effect *)e)->values, 0;
}
static OfxStatus clip_define(OfxImageEffectHandle e, const char *name, OfxPropertySetHandle *to) {
    (void)name;
    return *to = (OfxPropertySetHandle)&((effect *)e)->source, 0;
}
static OfxStatus clip_handle(OfxImageEffectHandle e, const char *name, OfxImageClipHandle *to, OfxPropertySetHandle *set_) {
    set *clip = strcmp(name, "Source") == 0 ? &((effect *)e)->source : &((effect *)e)->output;
    *to = (OfxImageClipHandle)clip;
    *set_ = (OfxPropertySetHandle)clip;
    return kOfxStatOK;
}
static OfxStatus clip_image(OfxImageClipHandle clip, OfxTime time, const OfxRectD *region, OfxPropertySetHandle *to) {
    effect *e = rendering;
    set *image = calloc(1, sizeof *image);
    OfxPropertySetHandle handle = (OfxPropertySetHandle)image;
    float *from = (set *)clip == &e->source ? e->pixels : e->result;
    int row = e->width * 16;
    (void)time, (void)region;
    set_pointer(handle, "OfxImagePropData", 0, e->from_top ? from + (ptrdiff_t)(e->height - 1) * e->width * 4 : from);
    set_whole(handle, "OfxImagePropRowBytes", 0, e->from_top ? -row : row);
    const int bounds[4] = {0, 0, e->width, e->height};
    for (int i = 0; i < 4; i++) {
        set_whole(handle, "OfxImagePropBounds", i, bounds[i]);
    }
    set_text(handle, "OfxImageEffectPropPixelDepth", 0, "OfxBitDepthFloat");
    set_text(handle, "OfxImageEffectPropComponents", 0, "OfxImageComponentRGBA");
    *to = handle;
    return kOfxStatOK;
}
static OfxStatus clip_release(OfxPropertySetHandle image) {
    empty((set *)image);
    free(image);
    return kOfxStatOK;
}
static OfxStatus clip_region(OfxImageClipHandle clip, OfxTime time, OfxRectD *to) {
    (void)clip, (void)time, (void)to;
    return kOfxStatFailed;
}
static int wants_abort(OfxImageEffectHandle handle) {
    effect *e = (effect *)handle;
    return e->polls_until_abort == 0 || (e->polls_until_abort > 0 && --e->polls_until_abort == 0);
}

static OfxStatus param_define(OfxParamSetHandle s, const char *type, const char *name, OfxPropertySetHandle *to) {
    static set ignored; /* descriptors share one, which is emptied at the end */
    (void)type;
    make(s, name, 0);
    make(s, "ignored", 0)->pointer = &ignored;
    return *to = (OfxPropertySetHandle)&ignored, 0;
}
static OfxStatus param_handle(OfxParamSetHandle s, const char *name, OfxParamHandle *to, OfxPropertySetHandle *properties) {
    (void)properties;
    return *to = (OfxParamHandle)make(s, name, 0), 0;
}
static OfxStatus get_value(entry *value, va_list to) {
    void *at = va_arg(to, void *);
    if (strcmp(value->name, "model") == 0 || strcmp(value->name, "curves") == 0) {
        *(char **)at = value->text;
    } else if (strcmp(value->name, "mix") == 0) {
        *(double *)at = value->real;
    } else {
        *(int *)at = value->whole;
    }
    return kOfxStatOK;
}
static OfxStatus param_value(OfxParamHandle parameter, ...) {
    va_list to;
    va_start(to, parameter);
    OfxStatus status = get_value((entry *)parameter, to);
    va_end(to);
    return status;
}
static OfxStatus param_value_at(OfxParamHandle parameter, OfxTime time, ...) {
    va_list to;
    va_start(to, time);
    OfxStatus status = get_value((entry *)parameter, to);
    va_end(to);
    return status;
}
static OfxStatus param_set(OfxParamHandle parameter, ...) {
    entry *value = (entry *)parameter;
    va_list from;
    va_start(from, parameter);
    if (strcmp(value->name, "status") == 0) {
        snprintf(value->text, sizeof value->text, "%.399s", va_arg(from, char *));
    } else {
        value->whole = va_arg(from, int);
    }
    va_end(from);
    return kOfxStatOK;
}

static OfxStatus show(void *e, const char *type, const char *id, const char *format, ...) {
    (void)type, (void)id, (void)format;
    ((effect *)e)->errors++;
    return kOfxStatOK;
}
static OfxStatus take_back(void *e) { return ((effect *)e)->errors = 0; }

static const OfxPropertySuiteV1 properties = {
    .propSetPointer = set_pointer, .propSetString = set_text, .propSetDouble = set_real, .propSetInt = set_whole,
    .propSetDoubleN = set_reals, .propGetPointer = get_pointer_, .propGetString = get_text, .propGetDouble = get_real,
    .propGetInt = get_whole, .propGetDoubleN = get_reals, .propGetIntN = get_wholes,
};
static const OfxImageEffectSuiteV1 effects = {
    .getPropertySet = get_properties, .getParamSet = get_parameters, .clipDefine = clip_define, .clipGetHandle = clip_handle,
    .clipGetImage = clip_image, .clipReleaseImage = clip_release, .clipGetRegionOfDefinition = clip_region,
    .abort = wants_abort,
};
static const OfxParameterSuiteV1 parameters = {
    .paramDefine = param_define, .paramGetHandle = param_handle, .paramGetValue = param_value,
    .paramGetValueAtTime = param_value_at, .paramSetValue = param_set,
};
static const OfxMessageSuiteV2 messages = {show, show, take_back};

typedef struct { OfxThreadFunctionV1 *work; unsigned int index, count; void *context; } band;

static void *work_on(void *given) {
    band *own = given;
    own->work(own->index, own->count, own->context);
    return NULL;
}

static OfxStatus multi_thread(OfxThreadFunctionV1 *work, unsigned int count, void *context) {
    pthread_t threads[8];
    band bands[8];
    CHECK(count <= 8);
    for (unsigned int i = 0; i < count; i++) {
        bands[i] = (band){work, i, count, context};
        CHECK(pthread_create(&threads[i], NULL, work_on, &bands[i]) == 0);
    }
    for (unsigned int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    return kOfxStatOK;
}

static OfxStatus count_processors(unsigned int *count) { return *count = 3, kOfxStatOK; }

static const OfxMultiThreadSuiteV1 threads = {.multiThread = multi_thread, .multiThreadNumCPUs = count_processors};

static const void *fetch(OfxPropertySetHandle host, const char *name, int version) {
    (void)host;
    return strcmp(name, "OfxPropertySuite") == 0      ? (const void *)&properties
           : strcmp(name, "OfxImageEffectSuite") == 0 ? (const void *)&effects
           : strcmp(name, "OfxParameterSuite") == 0   ? (const void *)&parameters
           : strcmp(name, "OfxMultiThreadSuite") == 0 ? (const void *)&threads
           : version == 2                             ? (const void *)&messages
                                                      : NULL;
}

/* -- what is done with it --------------------------------------------------------------------------- */

static OfxPlugin *plugin;

static OfxStatus act(const char *action, effect *e, set *in, set *out) {
    return plugin->mainEntry(action, e, (OfxPropertySetHandle)in, (OfxPropertySetHandle)out);
}

static void choose(effect *e, const char *name, const char *text) { set_text((OfxPropertySetHandle)&e->values, name, 0, text); }

static effect *new_effect(const char *model) {
    effect *e = calloc(1, sizeof *e);
    e->polls_until_abort = -1;
    set_text((OfxPropertySetHandle)&e->properties, "OfxImageEffectPropContext", 0, "OfxImageEffectContextFilter");
    choose(e, "model", model);
    set_real((OfxPropertySetHandle)&e->values, "mix", 0, 1);
    CHECK(act("OfxActionCreateInstance", e, NULL, NULL) == kOfxStatOK);
    return e;
}

static void end_effect(effect *e) {
    CHECK(act("OfxActionDestroyInstance", e, NULL, NULL) == kOfxStatOK);
    set *all[] = {&e->properties, &e->source, &e->output, &e->values};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        empty(all[i]);
    }
    free(e);
}

static void changed(effect *e, const char *name) {
    set in = {NULL};
    set_text((OfxPropertySetHandle)&in, "OfxPropType", 0, "OfxTypeParameter");
    set_text((OfxPropertySetHandle)&in, "OfxPropName", 0, name);
    set_text((OfxPropertySetHandle)&in, "OfxPropChangeReason", 0, "OfxChangeUserEdited");
    act("OfxActionInstanceChanged", e, &in, NULL);
    empty(&in);
}

/* A frame of this size; whether the picture that came is the source at half. */
static OfxStatus render_frame(effect *e, int width, int height, int *is_half) {
    static const char *const before[] = {
        "OfxImageEffectActionIsIdentity", "OfxImageEffectActionGetRegionOfDefinition",
        "OfxImageEffectActionGetRegionsOfInterest", "OfxImageEffectActionGetFramesNeeded",
        "OfxImageEffectActionGetClipPreferences",
    };
    size_t count = (size_t)width * (size_t)height * 4;
    set in = {NULL}, out = {NULL};
    e->width = width, e->height = height;
    e->pixels = malloc(count * sizeof(float)), e->result = calloc(count, sizeof(float)); /* an abort leaves it so */
    for (size_t i = 0; i < count; i++) {
        e->pixels[i] = (float)(i % 1021) / 1021;
    }
    rendering = e;
    set_real((OfxPropertySetHandle)&in, "OfxPropTime", 0, 1);
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        act(before[i], e, &in, &out);
    }
    OfxStatus status = act("OfxImageEffectActionRender", e, &in, NULL);
    *is_half = status == kOfxStatOK;
    for (size_t i = 0; *is_half && i < count; i++) {
        *is_half = e->result[i] == (i % 4 == 3 ? e->pixels[i] : e->pixels[i] * 0.5f);
    }
    free(e->pixels);
    free(e->result);
    empty(&in);
    empty(&out);
    return status;
}

static void *render_many(void *model) {
    static const int sizes[][2] = {{64, 48}, {1, 1}, {301, 7}, {640, 272}, {2, 300}, {640, 272}};
    effect *e = new_effect(model);
    int is_half;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        e->from_top = i % 2 == 1;
        CHECK(render_frame(e, sizes[i][0], sizes[i][1], &is_half) == kOfxStatOK && is_half);
    }
    end_effect(e);
    return NULL;
}

static void describe(void) {
    static const char *const contexts[] = {"OfxImageEffectContextFilter", "OfxImageEffectContextGeneral"};
    for (int i = 0; i < 2; i++) {
        effect e = {.polls_until_abort = -1};
        set in = {NULL};
        set_text((OfxPropertySetHandle)&in, "OfxImageEffectPropContext", 0, contexts[i]);
        CHECK(act("OfxActionDescribe", &e, NULL, NULL) == kOfxStatOK);
        CHECK(act("OfxImageEffectActionDescribeInContext", &e, &in, NULL) == kOfxStatOK);
        empty(find((OfxPropertySetHandle)&e.values, "ignored", 0)->pointer);
        set *all[] = {&e.properties, &e.source, &e.output, &e.values, &in};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
            empty(all[k]);
        }
    }
}

int main(int count, char **words) {
    static set about;
    static OfxHost given = {(OfxPropertySetHandle)&about, fetch};
    pthread_t threads[2];
    int is_half;
    CHECK(count == 2 && OfxGetNumberOfPlugins() == 1 && OfxGetPlugin(1) == NULL);
    plugin = OfxGetPlugin(0);
    plugin->setHost(&given);
    for (int round = 0; round < 2; round++) { /* a host may unload and load again */
        CHECK(act("OfxActionLoad", NULL, NULL, NULL) == kOfxStatOK);
        describe();
        for (int i = 0; i < 2; i++) {
            CHECK(pthread_create(&threads[i], NULL, render_many, words[1]) == 0);
        }
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
        }
        effect *e = new_effect("/none.onnx");
        CHECK(render_frame(e, 8, 8, &is_half) == kOfxStatFailed && e->errors == 1);
        changed(e, "model");
        choose(e, "model", __FILE__); /* a file that is no model */
        CHECK(render_frame(e, 8, 8, &is_half) == kOfxStatFailed && e->errors == 1);
        choose(e, "model", words[1]);
        changed(e, "update");
        for (int polls = 0; polls < 4; polls++) { /* given up at one point or another */
            e->polls_until_abort = polls;
            CHECK(render_frame(e, 1024, 778, &is_half) == kOfxStatOK);
        }
        e->polls_until_abort = -1;
        CHECK(render_frame(e, 8, 8, &is_half) == kOfxStatOK && is_half && e->errors == 0);
        end_effect(e);
        CHECK(act("OfxActionUnload", NULL, NULL, NULL) == kOfxStatOK);
    }
    return 0;
}
