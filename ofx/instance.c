#include "plugin.h"

#include <stdlib.h>
#include <string.h>

#include "platform.h"

static const char instance_data[] = "OfxPropInstanceData";

/* -- what an instance holds --------------------------------------------------------------------- */

static void find_clip(OfxImageEffectHandle effect, const char *name, clip *found) {
    if (host.effect->clipGetHandle(effect, name, &found->handle, &found->properties) != kOfxStatOK) {
        *found = (clip){NULL, NULL};
    }
}

static OfxParamHandle find_parameter(OfxParamSetHandle parameters, const char *name) {
    OfxParamHandle found;
    return host.parameter->paramGetHandle(parameters, name, &found, NULL) == kOfxStatOK ? found : NULL;
}

instance *instance_of(OfxImageEffectHandle effect) {
    OfxPropertySetHandle set;
    return host.effect->getPropertySet(effect, &set) == kOfxStatOK ? get_pointer(set, instance_data) : NULL;
}

OfxStatus create_instance(OfxImageEffectHandle effect) {
    OfxPropertySetHandle set;
    OfxParamSetHandle parameters;
    if (host.effect->getPropertySet(effect, &set) != kOfxStatOK
        || host.effect->getParamSet(effect, &parameters) != kOfxStatOK) {
        return kOfxStatErrBadHandle;
    }
    instance *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return kOfxStatErrMemory;
    }
    self->effect = effect;
    find_clip(effect, "Source", &self->source);
    find_clip(effect, "Output", &self->output);
    if (strcmp(get_string(set, "OfxImageEffectPropContext"), "OfxImageEffectContextGeneral") == 0) {
        find_clip(effect, "Mask", &self->mask);
    }
    self->model = find_parameter(parameters, PARAM_MODEL);
    self->mix = find_parameter(parameters, PARAM_MIX);
    self->show = find_parameter(parameters, PARAM_SHOW);
    self->device = find_parameter(parameters, PARAM_DEVICE);
    self->offset = find_parameter(parameters, PARAM_OFFSET);
    self->curves = find_parameter(parameters, PARAM_CURVES);
    self->status = find_parameter(parameters, PARAM_STATUS);
    self->revision = find_parameter(parameters, PARAM_REVISION);
    atomic_init(&self->shows_error, false);
    atomic_init(&self->announced, -1);
    set_pointer(set, instance_data, self);
    return kOfxStatOK;
}

OfxStatus destroy_instance(OfxImageEffectHandle effect) {
    OfxPropertySetHandle set;
    free(instance_of(effect));
    if (host.effect->getPropertySet(effect, &set) == kOfxStatOK) {
        set_pointer(set, instance_data, NULL);
    }
    return kOfxStatOK;
}

/* -- what the artist has chosen ----------------------------------------------------------------- */

static void read_text(OfxParamHandle parameter, char *to, size_t room) {
    char *value = NULL;
    bool known = parameter != NULL && host.parameter->paramGetValue(parameter, &value) == kOfxStatOK && value != NULL;
    wg_copy_text(to, room, known ? value : "", known ? strlen(value) : 0);
}

static int read_int(OfxParamHandle parameter) {
    int value = 0;
    return parameter != NULL && host.parameter->paramGetValue(parameter, &value) == kOfxStatOK ? value : 0;
}

static float read_mix(const instance *self, OfxTime time) {
    double mix = 1;
    if (self->mix == NULL || host.parameter->paramGetValueAtTime(self->mix, time, &mix) != kOfxStatOK) {
        return 1;
    }
    return mix >= 1 ? 1.0f : mix > 0 ? (float)mix : 0.0f;
}

void read_choices(const instance *self, OfxTime time, choices *chosen) {
    static const uint8_t devices[] = {0, 2, 1}; /* auto, cuda, cpu */
    int show = read_int(self->show), device = read_int(self->device);
    read_text(self->model, chosen->model, sizeof chosen->model);
    read_text(self->curves, chosen->curves, sizeof chosen->curves);
    chosen->mix = read_mix(self, time);
    chosen->show = show >= WG_SHOW_RESTORED && show <= WG_SHOW_SCAN ? (wg_show)show : WG_SHOW_RESTORED;
    chosen->device = device >= 0 && device < (int)sizeof devices ? devices[device] : 0;
    chosen->offset = read_int(self->offset);
}

bool changes_nothing(const choices *chosen) {
    return chosen->model[0] == 0 || chosen->show == WG_SHOW_SCAN
           || (chosen->show == WG_SHOW_RESTORED && chosen->mix == 0);
}

/* -- speaking to the host ----------------------------------------------------------------------- */

static bool wants_abort(void *effect) { return host.effect->abort(effect) != 0; }

wg_stop stop_of(const instance *self) { return (wg_stop){wants_abort, self->effect}; }

OfxStatus fail(instance *self, const char *sentence) {
    bool before = atomic_exchange(&self->shows_error, true);
    if (!before || host.message_version >= 2) { /* one message box is enough */
        show_error(self->effect, sentence);
    }
    return kOfxStatFailed;
}

void succeed(instance *self) {
    if (atomic_exchange(&self->shows_error, false)) {
        take_error_back(self->effect);
    }
}

/* -- what changes ------------------------------------------------------------------------------- */

static bool is_late(void *deadline) { return wg_now() > *(const double *)deadline; }

static void say_status(instance *self) {
    double deadline = wg_now() + 5; /* the artist waits */
    choices chosen;
    wg_model model;
    wg_sentence why;
    if (self->status == NULL) {
        return;
    }
    read_choices(self, 0, &chosen);
    if (chosen.model[0] == 0) {
        wg_say(&why, "Choose a model.");
        host.parameter->paramSetValue(self->status, why.text);
        return;
    }
    wg_result result = wg_describe(chosen.model, (wg_stop){is_late, &deadline}, &model, &why);
    if (result == WG_STOPPED) {
        wg_say(&why, "The inference server is not ready yet; press update in a moment.");
    } else if (result == WG_DONE) {
        for (char *line = strchr(model.limits, '\n'); line != NULL; line = strchr(line, '\n')) {
            *line = ' '; /* the status is one line */
        }
        wg_say(&why, "Ready: %s, %s; %d frame%s at a time%s%s", model.recipe[0] != 0 ? model.recipe : "a foreign model",
               model.encoding[0] != 0 ? model.encoding : "no encoding stated", 2 * model.radius + 1,
               model.radius == 0 ? "" : "s", model.limits[0] != 0 ? ". " : ".", model.limits);
    }
    host.parameter->paramSetValue(self->status, why.text);
}

OfxStatus instance_changed(OfxImageEffectHandle effect, OfxPropertySetHandle in) {
    instance *self = instance_of(effect);
    if (self == NULL || strcmp(get_string(in, "OfxPropChangeReason"), "OfxChangeUserEdited") != 0) {
        return kOfxStatReplyDefault;
    }
    succeed(self); /* hosts render nothing while an error stands */
    if (strcmp(get_string(in, "OfxPropType"), "OfxTypeParameter") != 0) {
        return kOfxStatOK;
    }
    const char *name = get_string(in, "OfxPropName");
    bool update = strcmp(name, PARAM_UPDATE) == 0;
    if (update) {
        choices chosen;
        read_choices(self, 0, &chosen);
        wg_describe_anew(chosen.model);
        if (self->revision != NULL) {
            host.parameter->paramSetValue(self->revision, (int)((unsigned)read_int(self->revision) + 1u));
        }
    }
    if (update || strcmp(name, PARAM_MODEL) == 0) {
        say_status(self);
    }
    return kOfxStatOK;
}

/* -- what is needed for a frame ----------------------------------------------------------------- */

static OfxTime time_of(OfxPropertySetHandle in) { return get_double(in, "OfxPropTime", 0); }

OfxStatus is_identity(OfxImageEffectHandle effect, OfxPropertySetHandle in, OfxPropertySetHandle out) {
    const instance *self = instance_of(effect);
    choices chosen;
    if (self == NULL) {
        return kOfxStatReplyDefault;
    }
    read_choices(self, time_of(in), &chosen);
    if (!changes_nothing(&chosen)) {
        return kOfxStatReplyDefault;
    }
    set_string(out, "OfxPropName", 0, "Source");
    set_double(out, "OfxPropTime", time_of(in));
    return kOfxStatOK;
}

static OfxStatus answer_source_rect(OfxImageEffectHandle effect, OfxPropertySetHandle in, OfxPropertySetHandle out,
                                    const char *property) {
    const instance *self = instance_of(effect);
    OfxRectD rect;
    if (self == NULL || self->source.handle == NULL
        || host.effect->clipGetRegionOfDefinition(self->source.handle, time_of(in), &rect) != kOfxStatOK) {
        return kOfxStatReplyDefault;
    }
    const double edges[4] = {rect.x1, rect.y1, rect.x2, rect.y2};
    return host.property->propSetDoubleN(out, property, 4, edges) == kOfxStatOK ? kOfxStatOK : kOfxStatReplyDefault;
}

OfxStatus region_of_definition(OfxImageEffectHandle effect, OfxPropertySetHandle in, OfxPropertySetHandle out) {
    return answer_source_rect(effect, in, out, "OfxImageEffectPropRegionOfDefinition");
}

OfxStatus regions_of_interest(OfxImageEffectHandle effect, OfxPropertySetHandle in, OfxPropertySetHandle out) {
    return answer_source_rect(effect, in, out, "OfxImageClipPropRoI_Source");
}

static bool is_in(const double range[2], OfxTime time) {
    const double near = 1e-6;
    return time >= range[0] - near && time <= range[1] + near;
}

neighbours neighbours_at(const instance *self, OfxTime time, int radius) {
    double range[2];
    if (get_int(host.host->host, "OfxImageEffectPropTemporalClipAccess", 1) == 0) {
        return (neighbours){0, 0};
    }
    if (!get_doubles(self->source.properties, "OfxImageEffectPropFrameRange", 2, range) || range[0] > range[1]) {
        return (neighbours){radius, radius};
    }
    neighbours found = {0, 0};
    while (found.before < radius && is_in(range, time - found.before - 1)) {
        found.before++;
    }
    while (found.after < radius && is_in(range, time + found.after + 1)) {
        found.after++;
    }
    return found;
}

OfxStatus frames_needed(OfxImageEffectHandle effect, OfxPropertySetHandle in, OfxPropertySetHandle out) {
    instance *self = instance_of(effect);
    OfxTime time = time_of(in);
    choices chosen;
    wg_model model;
    wg_sentence why;
    if (self == NULL) {
        return kOfxStatReplyDefault;
    }
    read_choices(self, time, &chosen);
    if (changes_nothing(&chosen) || wg_describe(chosen.model, stop_of(self), &model, &why) != WG_DONE) {
        model.radius = 0; /* rendering will say what is wrong */
    }
    neighbours around = neighbours_at(self, time, model.radius);
    const double range[2] = {time - around.before, time + around.after};
    atomic_store(&self->announced, model.radius);
    return host.property->propSetDoubleN(out, "OfxImageClipPropFrameRange_Source", 2, range) == kOfxStatOK
               ? kOfxStatOK
               : kOfxStatReplyDefault;
}

OfxStatus clip_preferences(OfxPropertySetHandle out) {
    set_int(out, "OfxImageEffectFrameVarying", 1); /* neighbours and exposure curves differ even where frames do not */
    return kOfxStatOK;
}
