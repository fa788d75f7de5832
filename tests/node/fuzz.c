/* Bytes and pictures of all sorts through protocol.c and pixels.c, for sanitizers to look at.
 *
 *     fuzz < MESSAGES    a u32 length and that many bytes, again and again: each goes through every decoder
 *
 * Then random pictures, regions and windows are fetched and composed in memory that is exactly as large as it must be.
 * Prints how many messages were understood.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pixels.h"
#include "protocol.h"

static int understood(const uint8_t *bytes, size_t count) {
    wg_header header;
    wg_model model;
    wg_restored restored;
    wg_sentence sentence;
    uint16_t number;
    if (count < WG_HEADER_BYTES || !wg_decode_header(bytes, &header)) {
        return 0;
    }
    size_t size = count - WG_HEADER_BYTES;
    uint8_t *payload = malloc(size + (size == 0)); /* of its own, so that reading behind it is noticed */
    memcpy(payload, bytes + WG_HEADER_BYTES, size);
    int known = wg_decode_welcome(payload, size, &number) + wg_decode_model(payload, size, &model)
                + wg_decode_restored(payload, size, &restored) + wg_decode_error(payload, size, &number, &sentence);
    free(payload);
    return known > 0;
}

static uint32_t state = 1;

static int chance(int limit) {
    state = state * 1664525u + 1013904223u;
    return (int)((state >> 8) % (uint32_t)limit);
}

static wg_rect some_rect(int widest) {
    int x = chance(40) - 20, y = chance(40) - 20;
    return (wg_rect){x, y, x + 1 + chance(widest), y + 1 + chance(6)};
}

static unsigned char *some_picture(wg_picture *picture, wg_depth depth, int channels, int widest) {
    static const int bytes[] = {1, 2, 4};
    *picture = (wg_picture){.bounds = some_rect(widest), .depth = depth, .channels = channels};
    size_t row = (size_t)(picture->bounds.x2 - picture->bounds.x1) * (size_t)channels * (size_t)bytes[depth];
    size_t rows = (size_t)(picture->bounds.y2 - picture->bounds.y1);
    unsigned char *memory = malloc(row * rows);
    for (size_t i = 0; i < row * rows; i++) {
        memory[i] = (unsigned char)chance(256); /* NaN and infinities among the floats */
    }
    int from_top = chance(2);
    picture->data = from_top ? memory + row * (rows - 1) : memory;
    picture->row_bytes = from_top ? -(ptrdiff_t)row : (ptrdiff_t)row;
    picture->premultiplied = channels == 4 && chance(2);
    return memory;
}

static void compose_something(void) {
    static const int mask_channels[] = {1, 3, 4};
    wg_depth depth = (wg_depth)chance(3);
    int channels = 3 + chance(2);
    wg_picture source, output, mask;
    unsigned char *memories[3] = {
        some_picture(&source, depth, channels, 300),
        some_picture(&output, depth, channels, 300),
        some_picture(&mask, (wg_depth)chance(3), mask_channels[chance(3)], 300),
    };
    wg_rect region = wg_intersect(source.bounds, some_rect(300));
    wg_rect window = wg_intersect(output.bounds, some_rect(300));
    if (wg_is_empty(region)) {
        region = source.bounds;
    }
    size_t area = (size_t)(region.x2 - region.x1) * (size_t)(region.y2 - region.y1);
    float *planes = malloc(3 * area * sizeof *planes), *coverage = malloc(area * sizeof *coverage);
    wg_fetch(&mask, region, region.y1, region.y2, planes); /* a picture that lies elsewhere */
    memcpy(coverage, planes, area * sizeof *coverage);
    wg_fetch(&source, region, region.y1, region.y2, planes);
    wg_answer answer = {
        .region = region,
        .restored = chance(8) ? planes : NULL,
        .coverage = chance(2) ? coverage : NULL,
        .mask = chance(2) ? &mask : NULL,
        .mix = (float)chance(5) / 4,
        .show = (wg_show)chance(4),
    };
    wg_compose(&source, &answer, &output, window);
    for (int i = 0; i < 3; i++) {
        free(memories[i]);
    }
    free(planes);
    free(coverage);
}

int main(void) {
    static uint8_t bytes[WG_MESSAGE_MOST];
    uint32_t count;
    int known = 0;
    while (fread(&count, sizeof count, 1, stdin) == 1 && count <= sizeof bytes && fread(bytes, 1, count, stdin) == count) {
        known += understood(bytes, count);
    }
    for (int i = 0; i < 5000; i++) {
        compose_something();
    }
    printf("%d\n", known);
    return 0;
}
