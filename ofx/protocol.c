#include "protocol.h"

#include <string.h>

enum { MAGIC = 0x31504757 };

/* -- writing ------------------------------------------------------------------------------------ */

typedef struct { uint8_t *bytes; size_t used; bool full; } writer;

static void put(writer *to, const void *bytes, size_t count) {
    if (to->full || count > WG_MESSAGE_MOST - to->used) {
        to->full = true;
        return;
    }
    memcpy(to->bytes + to->used, bytes, count);
    to->used += count;
}

static void put_number(writer *to, uint64_t value, size_t bytes) {
    uint8_t little[8];
    for (size_t i = 0; i < bytes; i++) {
        little[i] = (uint8_t)(value >> (8 * i));
    }
    put(to, little, bytes);
}

static void put_text(writer *to, const char *text) {
    size_t length = strlen(text);
    if (length > UINT16_MAX) {
        to->full = true;
        return;
    }
    put_number(to, length, 2);
    put(to, text, length);
}

static writer start(uint8_t *bytes, uint16_t kind, uint32_t request) {
    writer to = {bytes, 0, false};
    put_number(&to, MAGIC, 4);
    put_number(&to, kind, 2);
    put_number(&to, 0, 2);
    put_number(&to, request, 4);
    put_number(&to, 0, 4); /* the payload's length, known at the end */
    return to;
}

static size_t finish(writer *to) {
    if (to->full) {
        return 0;
    }
    writer length = {to->bytes, WG_HEADER_BYTES - 4, false};
    put_number(&length, to->used - WG_HEADER_BYTES, 4);
    return to->used;
}

size_t wg_encode_hello(uint8_t *bytes, uint32_t process, const uint8_t token[WG_TOKEN_BYTES], const char *client) {
    writer to = start(bytes, WG_KIND_HELLO, 0);
    put_number(&to, WG_VERSION_SPOKEN, 2);
    put_number(&to, WG_VERSION_SPOKEN, 2);
    put_number(&to, process, 4);
    put(&to, token, WG_TOKEN_BYTES);
    put_text(&to, client);
    return finish(&to);
}

size_t wg_encode_describe(uint8_t *bytes, uint32_t request, const char *model) {
    writer to = start(bytes, WG_KIND_DESCRIBE, request);
    put_text(&to, model);
    return finish(&to);
}

size_t wg_encode_memory(uint8_t *bytes, uint32_t request, uint32_t memory, uint64_t size, const char *name) {
    writer to = start(bytes, WG_KIND_MEMORY, request);
    put_number(&to, memory, 4);
    put_number(&to, size, 8);
    put_text(&to, name);
    return finish(&to);
}

size_t wg_encode_forget(uint8_t *bytes, uint32_t request, uint32_t memory) {
    writer to = start(bytes, WG_KIND_FORGET, request);
    put_number(&to, memory, 4);
    return finish(&to);
}

size_t wg_encode_render(uint8_t *bytes, uint32_t request, const wg_render *render) {
    writer to = start(bytes, WG_KIND_RENDER, request);
    put_number(&to, render->memory, 4);
    put_number(&to, render->width, 4);
    put_number(&to, render->height, 4);
    put_number(&to, render->device, 1);
    put_number(&to, render->may_hold_nan ? 1 : 0, 1);
    put_number(&to, render->frames, 2);
    put_number(&to, render->input, 8);
    put_number(&to, render->output, 8);
    put_number(&to, render->coverage, 8);
    put_text(&to, render->model);
    put_text(&to, render->curves);
    for (size_t i = 0; i < render->frames; i++) {
        put_number(&to, (uint64_t)render->numbers[i], 8);
    }
    return finish(&to);
}

size_t wg_encode_cancel(uint8_t *bytes, uint32_t request, uint32_t given_up) {
    writer to = start(bytes, WG_KIND_CANCEL, request);
    put_number(&to, given_up, 4);
    return finish(&to);
}

/* -- reading ------------------------------------------------------------------------------------ */

typedef struct { const uint8_t *bytes; size_t left; bool broken; } reader;

static const uint8_t *take(reader *from, size_t count) {
    if (from->broken || count > from->left) {
        from->broken = true;
        return NULL;
    }
    const uint8_t *taken = from->bytes;
    from->bytes += count;
    from->left -= count;
    return taken;
}

static uint64_t take_number(reader *from, size_t bytes) {
    const uint8_t *little = take(from, bytes);
    uint64_t value = 0;
    for (size_t i = 0; little != NULL && i < bytes; i++) {
        value |= (uint64_t)little[i] << (8 * i);
    }
    return value;
}

static bool take_flag(reader *from) {
    uint64_t flag = take_number(from, 1);
    from->broken |= flag > 1;
    return flag == 1;
}

/* Whether these are whole characters of UTF-8 in their shortest form, no surrogates and no NUL. */
static bool is_text(const uint8_t *bytes, size_t count) {
    static const uint32_t least[4] = {1, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < count;) {
        uint8_t lead = bytes[i++];
        size_t more = lead < 0x80 ? 0 : (lead & 0xE0) == 0xC0 ? 1 : (lead & 0xF0) == 0xE0 ? 2 : (lead & 0xF8) == 0xF0 ? 3 : 4;
        if (more == 4 || more > count - i) {
            return false;
        }
        uint32_t character = more == 0 ? lead : lead & (0x3Fu >> more);
        for (size_t end = i + more; i < end; i++) {
            if ((bytes[i] & 0xC0) != 0x80) {
                return false;
            }
            character = character << 6 | (bytes[i] & 0x3F);
        }
        if (character < least[more] || character > 0x10FFFF || (character >= 0xD800 && character < 0xE000)) {
            return false;
        }
    }
    return true;
}

static void take_text(reader *from, char *to, size_t room) {
    size_t length = (size_t)take_number(from, 2);
    const uint8_t *text = take(from, length);
    if (text == NULL || !is_text(text, length)) {
        from->broken = true;
        return;
    }
    if (room > 0) {
        wg_copy_text(to, room, (const char *)text, length);
    }
}

static bool used_up(const reader *from) { return !from->broken && from->left == 0; }

bool wg_decode_header(const uint8_t bytes[WG_HEADER_BYTES], wg_header *header) {
    reader from = {bytes, WG_HEADER_BYTES, false};
    uint64_t magic = take_number(&from, 4);
    header->kind = (uint16_t)take_number(&from, 2);
    uint64_t nothing = take_number(&from, 2);
    header->request = (uint32_t)take_number(&from, 4);
    header->payload_bytes = (uint32_t)take_number(&from, 4);
    return magic == MAGIC && nothing == 0 && header->payload_bytes <= WG_PAYLOAD_MOST;
}

bool wg_decode_welcome(const uint8_t *payload, size_t bytes, uint16_t *version) {
    reader from = {payload, bytes, false};
    *version = (uint16_t)take_number(&from, 2);
    take(&from, 4);
    take_text(&from, NULL, 0);
    return used_up(&from);
}

bool wg_decode_model(const uint8_t *payload, size_t bytes, wg_model *model) {
    reader from = {payload, bytes, false};
    memset(model, 0, sizeof *model);
    model->radius = (uint16_t)take_number(&from, 2);
    model->has_coverage = take_flag(&from);
    from.broken |= take_number(&from, 1) != 0;
    take(&from, 4);               /* halo */
    take_text(&from, NULL, 0);    /* sha256 */
    take_text(&from, model->recipe, sizeof model->recipe);
    take_text(&from, model->encoding, sizeof model->encoding);
    take_text(&from, NULL, 0);    /* colour space */
    take_text(&from, NULL, 0);    /* protected */
    take_text(&from, NULL, 0);    /* producer */
    take_text(&from, model->limits, sizeof model->limits);
    return used_up(&from);
}

bool wg_decode_restored(const uint8_t *payload, size_t bytes, wg_restored *restored) {
    reader from = {payload, bytes, false};
    restored->device = (uint8_t)take_number(&from, 1);
    restored->bits = (uint8_t)take_number(&from, 1);
    restored->has_coverage = take_flag(&from);
    from.broken |= take_number(&from, 1) != 0;
    take(&from, 4); /* tiles */
    restored->model_us = take_number(&from, 8);
    restored->total_us = take_number(&from, 8);
    take_text(&from, NULL, 0); /* sha256 */
    return used_up(&from);
}

bool wg_decode_error(const uint8_t *payload, size_t bytes, uint16_t *code, wg_sentence *sentence) {
    reader from = {payload, bytes, false};
    *code = (uint16_t)take_number(&from, 2);
    take_text(&from, sentence->text, sizeof sentence->text);
    return used_up(&from);
}
