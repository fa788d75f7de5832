/* Messages of the inference server, version 1, as docs/inference-server.md has them. Bytes only: no I/O here. */
#ifndef WETGATE_PROTOCOL_H
#define WETGATE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sentence.h"

enum {
    WG_VERSION_SPOKEN = 1,
    WG_HEADER_BYTES = 16,
    WG_PAYLOAD_MOST = 65536,
    WG_MESSAGE_MOST = WG_HEADER_BYTES + WG_PAYLOAD_MOST,
    WG_TOKEN_BYTES = 32,
    WG_WINDOW_MOST = 2 * 64 + 1, /* frames that this node is ready to hold for one picture */
};

enum {
    WG_KIND_HELLO = 1, WG_KIND_DESCRIBE = 2, WG_KIND_MEMORY = 3, WG_KIND_FORGET = 4, WG_KIND_RENDER = 5,
    WG_KIND_CANCEL = 7,
    WG_KIND_WELCOME = 101, WG_KIND_MODEL = 102, WG_KIND_DONE = 103, WG_KIND_RESTORED = 104, WG_KIND_ERROR = 199,
};

enum {
    WG_ERROR_PROTOCOL = 1, WG_ERROR_REFUSED = 2, WG_ERROR_WINDOW = 4, WG_ERROR_CANCELLED = 7, WG_ERROR_CLOSING = 11,
};

typedef struct { uint16_t kind; uint32_t request, payload_bytes; } wg_header;

#define WG_NO_COVERAGE UINT64_MAX

typedef struct {
    uint32_t memory, width, height;
    uint8_t device;    /* 0 auto, 1 CPU, 2 CUDA */
    bool may_hold_nan;
    uint16_t frames;
    uint64_t input, output, coverage; /* offsets in the memory; WG_NO_COVERAGE where it is not wanted */
    const char *model, *curves;
    const int64_t *numbers; /* one for each frame */
} wg_render;

typedef struct {
    uint16_t radius;
    bool has_coverage;
    char recipe[64], encoding[64], limits[512];
} wg_model;

typedef struct { uint8_t device, bits; bool has_coverage; uint64_t model_us, total_us; } wg_restored;

/* Encoders write a whole message into `to`, which holds WG_MESSAGE_MOST bytes, and return its length; 0 when a text
 * is too long for a message. `request` is the client's number for it. */
size_t wg_encode_hello(uint8_t *to, uint32_t process, const uint8_t token[WG_TOKEN_BYTES], const char *client);
size_t wg_encode_describe(uint8_t *to, uint32_t request, const char *model);
size_t wg_encode_memory(uint8_t *to, uint32_t request, uint32_t memory, uint64_t bytes, const char *name);
size_t wg_encode_forget(uint8_t *to, uint32_t request, uint32_t memory);
size_t wg_encode_render(uint8_t *to, uint32_t request, const wg_render *render);
size_t wg_encode_cancel(uint8_t *to, uint32_t request, uint32_t given_up);

/* Decoders return false for bytes that break the rules: wrong numbers, texts that are no UTF-8, a payload that is
 * not used up exactly. Texts longer than their room are cut. */
bool wg_decode_header(const uint8_t bytes[WG_HEADER_BYTES], wg_header *header);
bool wg_decode_welcome(const uint8_t *payload, size_t bytes, uint16_t *version);
bool wg_decode_model(const uint8_t *payload, size_t bytes, wg_model *model);
bool wg_decode_restored(const uint8_t *payload, size_t bytes, wg_restored *restored);
bool wg_decode_error(const uint8_t *payload, size_t bytes, uint16_t *code, wg_sentence *sentence);

#endif
