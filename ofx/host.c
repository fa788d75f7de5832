#include "host.h"

#include <stddef.h>

enum { BANDS_MOST = 8 }; /* more threads than that wait for memory */

wg_host host;

static const void *suite(const char *name, int version) { return host.host->fetchSuite(host.host->host, name, version); }

bool host_load(void) {
    if (host.host == NULL || host.host->fetchSuite == NULL) {
        return false;
    }
    host.property = suite("OfxPropertySuite", 1);
    host.effect = suite("OfxImageEffectSuite", 1);
    host.parameter = suite("OfxParameterSuite", 1);
    host.message_version = 2;
    host.message = suite("OfxMessageSuite", 2);
    if (host.message == NULL) {
        host.message_version = 1;
        host.message = suite("OfxMessageSuite", 1);
    }
    host.threads = suite("OfxMultiThreadSuite", 1);
    return host.property != NULL && host.effect != NULL && host.parameter != NULL;
}

void in_bands(OfxThreadFunctionV1 *work, void *context) {
    unsigned bands = 1;
    if (host.threads == NULL || host.threads->multiThreadNumCPUs(&bands) != kOfxStatOK) {
        bands = 1;
    }
    bands = bands < BANDS_MOST ? bands : BANDS_MOST;
    if (bands < 2 || host.threads->multiThread(work, bands, context) != kOfxStatOK) {
        work(0, 1, context); /* a host that has lent some threads and no more: the work may be done twice */
    }
}

int get_int(OfxPropertySetHandle set, const char *name, int missing) {
    int value;
    return set != NULL && host.property->propGetInt(set, name, 0, &value) == kOfxStatOK ? value : missing;
}

double get_double(OfxPropertySetHandle set, const char *name, double missing) {
    double value;
    return set != NULL && host.property->propGetDouble(set, name, 0, &value) == kOfxStatOK ? value : missing;
}

void *get_pointer(OfxPropertySetHandle set, const char *name) {
    void *value;
    return set != NULL && host.property->propGetPointer(set, name, 0, &value) == kOfxStatOK ? value : NULL;
}

const char *get_string(OfxPropertySetHandle set, const char *name) {
    char *value;
    return set != NULL && host.property->propGetString(set, name, 0, &value) == kOfxStatOK && value != NULL ? value : "";
}

bool get_doubles(OfxPropertySetHandle set, const char *name, int count, double *values) {
    return set != NULL && host.property->propGetDoubleN(set, name, count, values) == kOfxStatOK;
}

bool get_rect(OfxPropertySetHandle set, const char *name, OfxRectI *rect) {
    int edges[4];
    if (set == NULL || host.property->propGetIntN(set, name, 4, edges) != kOfxStatOK) {
        return false;
    }
    *rect = (OfxRectI){edges[0], edges[1], edges[2], edges[3]};
    return true;
}

void set_int(OfxPropertySetHandle set, const char *name, int value) { host.property->propSetInt(set, name, 0, value); }

void set_double(OfxPropertySetHandle set, const char *name, double value) {
    host.property->propSetDouble(set, name, 0, value);
}

void set_string(OfxPropertySetHandle set, const char *name, int index, const char *value) {
    host.property->propSetString(set, name, index, value);
}

void set_pointer(OfxPropertySetHandle set, const char *name, void *value) {
    host.property->propSetPointer(set, name, 0, value);
}

void show_error(OfxImageEffectHandle effect, const char *sentence) {
    if (host.message == NULL) {
        return;
    }
    if (host.message_version >= 2) {
        host.message->setPersistentMessage(effect, "OfxMessageError", "wetgate", "%s", sentence);
    } else {
        host.message->message(effect, "OfxMessageError", "wetgate", "%s", sentence);
    }
}

void take_error_back(OfxImageEffectHandle effect) {
    if (host.message != NULL && host.message_version >= 2) {
        host.message->clearPersistentMessage(effect);
    }
}
