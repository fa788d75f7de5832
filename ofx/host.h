/* The host: its suites, and access to properties that may be missing. */
#ifndef WETGATE_HOST_H
#define WETGATE_HOST_H

#include <stdbool.h>

#include "ofx_abi.h"
#include "sentence.h"

typedef struct {
    const OfxHost *host;
    const OfxPropertySuiteV1 *property;
    const OfxImageEffectSuiteV1 *effect;
    const OfxParameterSuiteV1 *parameter;
    const OfxMessageSuiteV2 *message; /* NULL where the host has none; only `message` may be called in version 1 */
    int message_version;
    const OfxMultiThreadSuiteV1 *threads; /* NULL where the host lends none */
} wg_host;

extern __attribute__((visibility("hidden"))) wg_host host; /* in this binary: no table of addresses is asked for it */

bool host_load(void); /* false when a suite that every host has is missing */

/* Calls work(band, bands, context) for each band of 0 to bands - 1, several at once where the host lends threads. */
void in_bands(OfxThreadFunctionV1 *work, void *context);

/* What a property says, or `missing` where there is no such property. */
int get_int(OfxPropertySetHandle, const char *name, int missing);
double get_double(OfxPropertySetHandle, const char *name, double missing);
void *get_pointer(OfxPropertySetHandle, const char *name);
const char *get_string(OfxPropertySetHandle, const char *name); /* "" where missing; the host's, for a moment */
bool get_doubles(OfxPropertySetHandle, const char *name, int count, double *values);
bool get_rect(OfxPropertySetHandle, const char *name, OfxRectI *rect);

/* Hosts need not know every property that a plug-in sets: that is no error. */
void set_int(OfxPropertySetHandle, const char *name, int value);
void set_double(OfxPropertySetHandle, const char *name, double value);
void set_string(OfxPropertySetHandle, const char *name, int index, const char *value);
void set_pointer(OfxPropertySetHandle, const char *name, void *value);

/* Shows a sentence on the node until it is taken back; in a message box where the host knows nothing better. */
void show_error(OfxImageEffectHandle effect, const char *sentence);
void take_error_back(OfxImageEffectHandle effect);

#endif
