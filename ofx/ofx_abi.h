/* What this node needs of the OpenFX 1.4 standard, declared from the standard's facts.
 *
 * Suites are tables of function pointers whose order the standard fixes; entries that the node never
 * calls are `ofx_slot`s, there to keep the others in their places. Handles are the host's and opaque.
 */
#ifndef WETGATE_OFX_ABI_H
#define WETGATE_OFX_ABI_H

#include <stddef.h>

typedef int OfxStatus;
typedef double OfxTime;
typedef struct { int x1, y1, x2, y2; } OfxRectI;
typedef struct { double x1, y1, x2, y2; } OfxRectD;

typedef struct OfxPropertySetStruct *OfxPropertySetHandle;
typedef struct OfxImageEffectStruct *OfxImageEffectHandle;
typedef struct OfxImageClipStruct *OfxImageClipHandle;
typedef struct OfxParamSetStruct *OfxParamSetHandle;
typedef struct OfxParamStruct *OfxParamHandle;

typedef void (*ofx_slot)(void);

typedef struct {
    OfxPropertySetHandle host;
    const void *(*fetchSuite)(OfxPropertySetHandle host, const char *name, int version);
} OfxHost;

typedef struct {
    const char *pluginApi;
    int apiVersion;
    const char *pluginIdentifier;
    unsigned int pluginVersionMajor, pluginVersionMinor;
    void (*setHost)(OfxHost *host);
    OfxStatus (*mainEntry)(const char *action, const void *handle, OfxPropertySetHandle in, OfxPropertySetHandle out);
} OfxPlugin;

/* OfxPropertySuite, version 1: 18 functions. */
typedef struct {
    OfxStatus (*propSetPointer)(OfxPropertySetHandle, const char *name, int index, void *value);
    OfxStatus (*propSetString)(OfxPropertySetHandle, const char *name, int index, const char *value);
    OfxStatus (*propSetDouble)(OfxPropertySetHandle, const char *name, int index, double value);
    OfxStatus (*propSetInt)(OfxPropertySetHandle, const char *name, int index, int value);
    ofx_slot propSetPointerN, propSetStringN;
    OfxStatus (*propSetDoubleN)(OfxPropertySetHandle, const char *name, int count, const double *values);
    ofx_slot propSetIntN;
    OfxStatus (*propGetPointer)(OfxPropertySetHandle, const char *name, int index, void **value);
    OfxStatus (*propGetString)(OfxPropertySetHandle, const char *name, int index, char **value);
    OfxStatus (*propGetDouble)(OfxPropertySetHandle, const char *name, int index, double *value);
    OfxStatus (*propGetInt)(OfxPropertySetHandle, const char *name, int index, int *value);
    ofx_slot propGetPointerN, propGetStringN;
    OfxStatus (*propGetDoubleN)(OfxPropertySetHandle, const char *name, int count, double *values);
    OfxStatus (*propGetIntN)(OfxPropertySetHandle, const char *name, int count, int *values);
    ofx_slot propReset, propGetDimension;
} OfxPropertySuiteV1;

/* OfxImageEffectSuite, version 1: 13 functions. */
typedef struct {
    OfxStatus (*getPropertySet)(OfxImageEffectHandle, OfxPropertySetHandle *properties);
    OfxStatus (*getParamSet)(OfxImageEffectHandle, OfxParamSetHandle *parameters);
    OfxStatus (*clipDefine)(OfxImageEffectHandle, const char *name, OfxPropertySetHandle *properties);
    OfxStatus (*clipGetHandle)(OfxImageEffectHandle, const char *name, OfxImageClipHandle *, OfxPropertySetHandle *);
    ofx_slot clipGetPropertySet;
    OfxStatus (*clipGetImage)(OfxImageClipHandle, OfxTime, const OfxRectD *region, OfxPropertySetHandle *image);
    OfxStatus (*clipReleaseImage)(OfxPropertySetHandle image);
    OfxStatus (*clipGetRegionOfDefinition)(OfxImageClipHandle, OfxTime, OfxRectD *bounds);
    int (*abort)(OfxImageEffectHandle);
    ofx_slot imageMemoryAlloc, imageMemoryFree, imageMemoryLock, imageMemoryUnlock;
} OfxImageEffectSuiteV1;

/* OfxParameterSuite, version 1: 18 functions. */
typedef struct {
    OfxStatus (*paramDefine)(OfxParamSetHandle, const char *type, const char *name, OfxPropertySetHandle *properties);
    OfxStatus (*paramGetHandle)(OfxParamSetHandle, const char *name, OfxParamHandle *, OfxPropertySetHandle *);
    ofx_slot paramSetGetPropertySet, paramGetPropertySet;
    OfxStatus (*paramGetValue)(OfxParamHandle, ...);
    OfxStatus (*paramGetValueAtTime)(OfxParamHandle, OfxTime, ...);
    ofx_slot paramGetDerivative, paramGetIntegral;
    OfxStatus (*paramSetValue)(OfxParamHandle, ...);
    ofx_slot paramSetValueAtTime, paramGetNumKeys, paramGetKeyTime, paramGetKeyIndex, paramDeleteKey;
    ofx_slot paramDeleteAllKeys, paramCopy, paramEditBegin, paramEditEnd;
} OfxParameterSuiteV1;

/* OfxMessageSuite, version 2: 3 functions; version 1 is the first of them. */
typedef struct {
    OfxStatus (*message)(void *effect, const char *type, const char *id, const char *format, ...);
    OfxStatus (*setPersistentMessage)(void *effect, const char *type, const char *id, const char *format, ...);
    OfxStatus (*clearPersistentMessage)(void *effect);
} OfxMessageSuiteV2;

/* OfxMultiThreadSuite, version 1: 9 functions. */
typedef void OfxThreadFunctionV1(unsigned int index, unsigned int count, void *context);
typedef struct {
    OfxStatus (*multiThread)(OfxThreadFunctionV1 *function, unsigned int count, void *context);
    OfxStatus (*multiThreadNumCPUs)(unsigned int *count);
    ofx_slot multiThreadIndex, multiThreadIsSpawnedThread;
    ofx_slot mutexCreate, mutexDestroy, mutexLock, mutexUnLock, mutexTryLock;
} OfxMultiThreadSuiteV1;

enum {
    kOfxStatOK = 0,
    kOfxStatFailed = 1,
    kOfxStatErrMissingHostFeature = 4,
    kOfxStatErrUnsupported = 5,
    kOfxStatErrMemory = 8,
    kOfxStatErrBadHandle = 9,
    kOfxStatReplyDefault = 14,
};

#endif
