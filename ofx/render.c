#include <string.h>

#include "plugin.h"

enum { TRIES = 2, SIDE_MOST = 1 << 20 };

typedef struct {
    OfxPropertySetHandle handle; /* NULL: the host has none */
    wg_picture picture;
    bool is_usable;
} image;

/* One render action. */
typedef struct {
    instance *self;
    OfxTime time;
    OfxPropertySetHandle in;
    choices chosen;
    image output, source, mask;
    wg_rect window;
    wg_answer answer;
    wg_sentence why;
} job;

/* -- images ------------------------------------------------------------------------------------- */

static bool read_format(OfxPropertySetHandle handle, wg_picture *picture) {
    static const char *const depths[] = {"OfxBitDepthByte", "OfxBitDepthShort", "OfxBitDepthFloat"};
    static const char *const components[] = {"OfxImageComponentAlpha", "OfxImageComponentRGB", "OfxImageComponentRGBA"};
    static const int channels[] = {1, 3, 4};
    int depth = 0, component = 0;
    while (depth < 3 && strcmp(get_string(handle, "OfxImageEffectPropPixelDepth"), depths[depth]) != 0) {
        depth++;
    }
    while (component < 3 && strcmp(get_string(handle, "OfxImageEffectPropComponents"), components[component]) != 0) {
        component++;
    }
    if (depth == 3 || component == 3) {
        return false;
    }
    picture->depth = (wg_depth)depth;
    picture->channels = channels[component];
    return true;
}

static void take_image(const clip *from, OfxTime time, image *taken) {
    OfxRectI bounds;
    memset(taken, 0, sizeof *taken);
    if (from->handle == NULL || host.effect->clipGetImage(from->handle, time, NULL, &taken->handle) != kOfxStatOK) {
        taken->handle = NULL;
    }
    if (taken->handle == NULL) {
        return;
    }
    wg_picture *picture = &taken->picture;
    picture->data = get_pointer(taken->handle, "OfxImagePropData");
    picture->row_bytes = get_int(taken->handle, "OfxImagePropRowBytes", 0);
    if (picture->data == NULL || picture->row_bytes == 0 || !get_rect(taken->handle, "OfxImagePropBounds", &bounds)
        || !read_format(taken->handle, picture)) {
        return;
    }
    picture->bounds = (wg_rect){bounds.x1, bounds.y1, bounds.x2, bounds.y2};
    taken->is_usable = !wg_is_empty(picture->bounds);
    const char *alpha = get_string(taken->handle, "OfxImageEffectPropPreMultiplication");
    if (alpha[0] == 0) {
        alpha = get_string(from->properties, "OfxImageEffectPropPreMultiplication");
    }
    picture->premultiplied = picture->channels == 4 && strcmp(alpha, "OfxImageAlphaPremultiplied") == 0;
}

static void release_image(image *taken) {
    if (taken->handle != NULL) {
        host.effect->clipReleaseImage(taken->handle);
        taken->handle = NULL;
    }
}

/* -- what the model sees ------------------------------------------------------------------------ */

static int down(double value) {
    double within = !(value > -1e9) ? -1e9 : value > 1e9 ? 1e9 : value; /* NaN, too, is some number */
    int whole = (int)within;
    return whole > within ? whole - 1 : whole;
}

/* The source's whole picture in pixels: its region of definition where that can be told, for images may be larger. */
static wg_rect region_of(const job *work) {
    const clip *source = &work->self->source;
    wg_rect bounds = work->source.picture.bounds;
    OfxRectD rod;
    double scale[2] = {1, 1};
    if (host.effect->clipGetRegionOfDefinition(source->handle, work->time, &rod) != kOfxStatOK
        || (rod.x1 == bounds.x1 && rod.y1 == bounds.y1 && rod.x2 == bounds.x2 && rod.y2 == bounds.y2)) {
        return bounds; /* the same numbers at any scale: MLT gives pixels where canonical coordinates are meant */
    }
    get_doubles(work->in, "OfxImageEffectPropRenderScale", 2, scale);
    const char *aspect = "OfxImagePropPixelAspectRatio";
    double wide = get_double(work->source.handle, aspect, get_double(source->properties, aspect, 1));
    double across = scale[0] / (wide > 0 ? wide : 1), up = scale[1];
    const double near = 1e-3; /* of a pixel: scales are not exact */
    wg_rect pixels = {down(rod.x1 * across + near), down(rod.y1 * up + near), -down(-(rod.x2 * across - near)),
                      -down(-(rod.y2 * up - near))};
    wg_rect region = wg_intersect(pixels, bounds);
    return wg_is_empty(region) ? bounds : region;
}

/* Where the parts of a frame lie in memory. */
typedef struct { size_t area, output, coverage, bytes; } layout;

static size_t aligned(size_t offset) { return (offset + 63) / 64 * 64; }

static layout lay_out(wg_rect region, int frames, bool with_coverage) {
    layout parts;
    parts.area = (size_t)(region.x2 - region.x1) * (size_t)(region.y2 - region.y1);
    size_t plane = parts.area * sizeof(float);
    parts.output = aligned(plane * 3 * (size_t)frames);
    parts.coverage = aligned(parts.output + 3 * plane);
    parts.bytes = parts.coverage + (with_coverage ? plane : 0);
    return parts;
}

/* -- rows over threads -------------------------------------------------------------------------- */

typedef struct {
    const wg_picture *picture;
    wg_rect region;
    float *planes;
    atomic_bool may_hold_nan;
} fetching;

typedef struct {
    const wg_picture *source, *output;
    const wg_answer *answer;
    wg_rect window;
} composing;

/* The first row of a band: bands share the rows from y1 to y2 evenly. */
static int row_of(unsigned band, unsigned bands, int y1, int y2) {
    return y1 + (int)(((int64_t)y2 - y1) * band / bands);
}

static void fetch_band(unsigned band, unsigned bands, void *context) {
    fetching *all = context;
    int y1 = row_of(band, bands, all->region.y1, all->region.y2), y2 = row_of(band + 1, bands, all->region.y1, all->region.y2);
    if (wg_fetch(all->picture, all->region, y1, y2, all->planes)) {
        atomic_store(&all->may_hold_nan, true);
    }
}

static bool fetch(const wg_picture *picture, wg_rect region, float *planes) {
    fetching all = {.picture = picture, .region = region, .planes = planes};
    atomic_init(&all.may_hold_nan, false);
    in_bands(fetch_band, &all);
    return atomic_load(&all.may_hold_nan);
}

static void compose_band(unsigned band, unsigned bands, void *context) {
    const composing *all = context;
    wg_rect rows = all->window;
    rows.y1 = row_of(band, bands, all->window.y1, all->window.y2);
    rows.y2 = row_of(band + 1, bands, all->window.y1, all->window.y2);
    wg_compose(all->source, all->answer, all->output, rows);
}

static void compose(const job *work) {
    composing all = {&work->source.picture, &work->output.picture, &work->answer, work->window};
    in_bands(compose_band, &all);
}

/* -- the window --------------------------------------------------------------------------------- */

/* One side of the window: frames as far as the host has them, then the last of them again. A frame of which the host
 * was not told that it is needed is none that it does not have. */
static wg_result fetch_side(job *work, float *planes, size_t frame, int radius, int step, int present, wg_render *request,
                            int64_t *numbers) {
    wg_stop stop = stop_of(work->self);
    int announced = atomic_load(&work->self->announced);
    for (int distance = 1; distance <= radius; distance++) {
        int at = radius + step * distance, nearer = at - step;
        image neighbour = {0};
        if (stop.asked(stop.context)) {
            return WG_STOPPED;
        }
        if (distance <= present) {
            take_image(&work->self->source, work->time + step * distance, &neighbour);
        }
        if (neighbour.is_usable && neighbour.picture.channels >= 3) {
            request->may_hold_nan |= fetch(&neighbour.picture, work->answer.region, planes + (size_t)at * frame);
            numbers[at] = numbers[nearer] + step;
        } else if (distance <= present && announced >= 0 && distance > announced) {
            release_image(&neighbour);
            wg_say(&work->why, "The model was retrained and looks at %d frames now: render this one again.", 2 * radius + 1);
            return WG_FAILED;
        } else {
            present = 0;
            memcpy(planes + (size_t)at * frame, planes + (size_t)nearer * frame, frame * sizeof *planes);
            numbers[at] = numbers[nearer];
        }
        release_image(&neighbour);
    }
    return WG_DONE;
}

static wg_result fetch_window(job *work, float *planes, size_t frame, int radius, wg_render *request, int64_t *numbers) {
    neighbours around = neighbours_at(work->self, work->time, radius);
    numbers[radius] = (int64_t)down(work->time + 0.5) + work->chosen.offset;
    request->may_hold_nan = fetch(&work->source.picture, work->answer.region, planes + (size_t)radius * frame);
    wg_result result = fetch_side(work, planes, frame, radius, -1, around.before, request, numbers);
    return result != WG_DONE ? result : fetch_side(work, planes, frame, radius, 1, around.after, request, numbers);
}

/* -- the model's answer ------------------------------------------------------------------------- */

static wg_result compute(job *work, wg_link *link, const wg_model *model) {
    int radius = model->radius, frames = 2 * radius + 1;
    wg_rect region = work->answer.region;
    bool with_coverage = work->chosen.show == WG_SHOW_COVERAGE && model->has_coverage;
    layout parts = lay_out(region, frames, with_coverage);
    wg_stop stop = stop_of(work->self);
    unsigned char *base;
    wg_result result = wg_link_memory(link, parts.bytes, &base, stop, &work->why);
    if (result != WG_DONE) {
        return result;
    }
    int64_t numbers[WG_WINDOW_MOST];
    wg_restored restored;
    wg_render request = {
        .width = (uint32_t)(region.x2 - region.x1),
        .height = (uint32_t)(region.y2 - region.y1),
        .device = work->chosen.device,
        .frames = (uint16_t)frames,
        .output = parts.output,
        .coverage = with_coverage ? parts.coverage : WG_NO_COVERAGE,
        .model = work->chosen.model,
        .curves = work->chosen.curves,
        .numbers = numbers,
    };
    result = fetch_window(work, (float *)(void *)base, 3 * parts.area, radius, &request, numbers);
    if (result == WG_DONE) {
        result = wg_link_render(link, &request, &restored, stop, &work->why);
    }
    if (result == WG_DONE) {
        work->answer.restored = (const float *)(const void *)(base + parts.output);
        work->answer.coverage =
            with_coverage && restored.has_coverage ? (const float *)(const void *)(base + parts.coverage) : NULL;
        compose(work);
    }
    return result;
}

static wg_result attempt(job *work) {
    wg_model model;
    wg_link *link;
    wg_stop stop = stop_of(work->self);
    wg_result result = wg_describe(work->chosen.model, stop, &model, &work->why);
    if (result == WG_DONE) {
        result = wg_borrow(&link, stop, &work->why);
    }
    if (result == WG_DONE) {
        result = compute(work, link, &model);
        wg_give_back(link);
    }
    return result;
}

static OfxStatus restore(job *work) {
    wg_result result = WG_GONE;
    for (int tried = 0; tried < TRIES && (result == WG_GONE || result == WG_WINDOW); tried++) {
        if (result == WG_WINDOW) {
            wg_describe_anew(work->chosen.model);
        }
        result = attempt(work);
    }
    if (result == WG_STOPPED) {
        return kOfxStatOK; /* the host has asked for the abort and drops the picture */
    }
    if (result != WG_DONE) {
        return fail(work->self, work->why.text);
    }
    succeed(work->self);
    return kOfxStatOK;
}

/* -- the action --------------------------------------------------------------------------------- */

static OfxStatus render_source(job *work) {
    const wg_picture *source = &work->source.picture, *output = &work->output.picture;
    if (source->depth != output->depth || source->channels != output->channels || source->channels < 3) {
        return fail(work->self, "The host gives source and output in different formats, or one other than RGB and RGBA.");
    }
    if (source->bounds.x2 - (int64_t)source->bounds.x1 > SIDE_MOST || source->bounds.y2 - (int64_t)source->bounds.y1 > SIDE_MOST) {
        return fail(work->self, "The source is too large a picture.");
    }
    work->answer = (wg_answer){.region = source->bounds, .mix = work->chosen.mix, .show = work->chosen.show};
    if (changes_nothing(&work->chosen)) {
        work->answer.show = WG_SHOW_SCAN;
        compose(work);
        return kOfxStatOK;
    }
    work->answer.region = region_of(work);
    if (get_int(work->self->mask.properties, "OfxImageClipPropConnected", 0) != 0) {
        take_image(&work->self->mask, work->time, &work->mask);
        work->answer.mask = &work->mask.picture; /* an empty picture selects nothing */
    }
    return restore(work);
}

OfxStatus render(OfxImageEffectHandle effect, OfxPropertySetHandle in) {
    OfxRectI window;
    job work = {.self = instance_of(effect), .time = get_double(in, "OfxPropTime", 0), .in = in};
    if (work.self == NULL) {
        return kOfxStatErrBadHandle;
    }
    OfxStatus status = kOfxStatFailed; /* without a sentence: the host knows why it has no images */
    take_image(&work.self->output, work.time, &work.output);
    if (work.output.is_usable) {
        read_choices(work.self, work.time, &work.chosen);
        work.window = work.output.picture.bounds;
        if (get_rect(in, "OfxImageEffectPropRenderWindow", &window)) {
            work.window = wg_intersect(work.window, (wg_rect){window.x1, window.y1, window.x2, window.y2});
        }
        take_image(&work.self->source, work.time, &work.source);
        status = work.source.is_usable ? render_source(&work) : kOfxStatFailed;
    }
    release_image(&work.mask);
    release_image(&work.source);
    release_image(&work.output);
    return status;
}
