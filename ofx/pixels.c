#include "pixels.h"

#include <stdint.h>
#include <string.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF /* the same bits on every processor */
#endif

/* Rows are worked on in pieces, so that what stands between two steps stays in a processor's first cache. Measured: 64
 * to 144 pixels are equally fast; planes that lie a power of two apart, as 512 pixels do, take twice as long. */
enum { PIECE = 96 };

typedef struct { float r[PIECE], g[PIECE], b[PIECE], a[PIECE]; } piece;

static int least(int a, int b) { return a < b ? a : b; }
static int most(int a, int b) { return a > b ? a : b; }

wg_rect wg_intersect(wg_rect a, wg_rect b) {
    return (wg_rect){most(a.x1, b.x1), most(a.y1, b.y1), least(a.x2, b.x2), least(a.y2, b.y2)};
}

bool wg_is_empty(wg_rect rect) { return rect.x1 >= rect.x2 || rect.y1 >= rect.y2; }

static size_t width_of(wg_rect rect) { return (size_t)(rect.x2 - (ptrdiff_t)rect.x1); }
static size_t height_of(wg_rect rect) { return (size_t)(rect.y2 - (ptrdiff_t)rect.y1); }

static size_t sample_bytes(wg_depth depth) { return depth == WG_BYTE ? 1 : depth == WG_SHORT ? 2 : 4; }

static unsigned char *pixel_at(const wg_picture *picture, int x, int y) {
    ptrdiff_t column = (ptrdiff_t)x - picture->bounds.x1, row = (ptrdiff_t)y - picture->bounds.y1;
    return picture->data + row * picture->row_bytes
           + column * (ptrdiff_t)((size_t)picture->channels * sample_bytes(picture->depth));
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Conditions on floats are masks, all bits set or none, made of their bits: such loops become vector code without
 * leave to reorder arithmetic. The sign bit is set in `overflow` where a value is NaN or infinite, for its exponent is
 * all ones; several are told at once by OR. */
static uint32_t overflow(float value) { return (bits_of(value) & 0x7F800000u) + 0x00800000u; }

static uint32_t by_sign(uint32_t bits) { return (uint32_t)((int32_t)bits >> 31); }

static uint32_t is_zero(float value) { return (bits_of(value) << 1) == 0 ? ~0u : 0u; }

/* Of two values that are not negative. */
static uint32_t is_less(float a, float b) { return (int32_t)bits_of(a) < (int32_t)bits_of(b) ? ~0u : 0u; }

static float choose(uint32_t first, float a, float b) { return float_of((bits_of(a) & first) | (bits_of(b) & ~first)); }

/* What a premultiplied colour is divided by: its alpha where that is positive and finite. */
static float divisor_of(float alpha) {
    int32_t bits = (int32_t)bits_of(alpha);
    uint32_t is_number = (bits > 0 ? ~0u : 0u) & (bits < 0x7F800000 ? ~0u : 0u);
    return choose(is_number, alpha, 1.0f);
}

/* -- samples and floats ------------------------------------------------------------------------- */

/* The nearest code, halves to the even one; outside 0-1 is clipped, NaN becomes 0. Adding 1.5 * 2^23 leaves no bits
 * for a fraction, so the processor rounds; the code stands in the sum's lowest bits. */
static uint32_t code_of(float value, float largest) {
    value *= largest;
    value = value > 0.0f ? value : 0.0f;
    value = value < largest ? value : largest;
    return bits_of(value + 12582912.0f) & 0xFFFFu;
}

/* Loaders and storers of `count` pixels for each depth; a plane that a picture lacks is left alone. */
#define SAMPLES(NAME, TYPE, TO_FLOAT, TO_CODE)                                                                         \
    static void load_##NAME(const TYPE *restrict from, int channels, size_t count, float *restrict r,                  \
                            float *restrict g, float *restrict b, float *restrict a) {                                 \
        if (channels == 4) {                                                                                           \
            for (size_t i = 0; i < count; i++) {                                                                       \
                r[i] = TO_FLOAT(from[4 * i]), g[i] = TO_FLOAT(from[4 * i + 1]);                                        \
                b[i] = TO_FLOAT(from[4 * i + 2]), a[i] = TO_FLOAT(from[4 * i + 3]);                                    \
            }                                                                                                          \
        } else if (channels == 3) {                                                                                    \
            for (size_t i = 0; i < count; i++) {                                                                       \
                r[i] = TO_FLOAT(from[3 * i]), g[i] = TO_FLOAT(from[3 * i + 1]), b[i] = TO_FLOAT(from[3 * i + 2]);      \
            }                                                                                                          \
        } else {                                                                                                       \
            for (size_t i = 0; i < count; i++) {                                                                       \
                a[i] = TO_FLOAT(from[i]);                                                                              \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void store_##NAME(TYPE *restrict to, int channels, size_t count, const float *restrict r,                   \
                             const float *restrict g, const float *restrict b, const float *restrict a) {              \
        if (channels == 4) {                                                                                           \
            for (size_t i = 0; i < count; i++) {                                                                       \
                to[4 * i] = TO_CODE(r[i]), to[4 * i + 1] = TO_CODE(g[i]);                                              \
                to[4 * i + 2] = TO_CODE(b[i]), to[4 * i + 3] = TO_CODE(a[i]);                                          \
            }                                                                                                          \
        } else {                                                                                                       \
            for (size_t i = 0; i < count; i++) {                                                                       \
                to[3 * i] = TO_CODE(r[i]), to[3 * i + 1] = TO_CODE(g[i]), to[3 * i + 2] = TO_CODE(b[i]);               \
            }                                                                                                          \
        }                                                                                                              \
    }

#define BYTE_TO_FLOAT(code) ((float)(code) / 255.0f)
#define FLOAT_TO_BYTE(value) ((uint8_t)code_of(value, 255.0f))
#define SHORT_TO_FLOAT(code) ((float)(code) / 65535.0f)
#define FLOAT_TO_SHORT(value) ((uint16_t)code_of(value, 65535.0f))
#define UNCHANGED(value) (value)

SAMPLES(byte, uint8_t, BYTE_TO_FLOAT, FLOAT_TO_BYTE)
SAMPLES(short, uint16_t, SHORT_TO_FLOAT, FLOAT_TO_SHORT)
SAMPLES(float, float, UNCHANGED, UNCHANGED)

static void load(const wg_picture *picture, int x, int y, size_t count, float *r, float *g, float *b, float *a) {
    const void *from = pixel_at(picture, x, y);
    switch (picture->depth) {
    case WG_BYTE: load_byte(from, picture->channels, count, r, g, b, a); break;
    case WG_SHORT: load_short(from, picture->channels, count, r, g, b, a); break;
    case WG_FLOAT: load_float(from, picture->channels, count, r, g, b, a); break;
    }
}

static void store(const wg_picture *picture, int x, int y, size_t count, const float *r, const float *g, const float *b,
                  const float *a) {
    void *to = pixel_at(picture, x, y);
    switch (picture->depth) {
    case WG_BYTE: store_byte(to, picture->channels, count, r, g, b, a); break;
    case WG_SHORT: store_short(to, picture->channels, count, r, g, b, a); break;
    case WG_FLOAT: store_float(to, picture->channels, count, r, g, b, a); break;
    }
}

/* -- a picture into planes ---------------------------------------------------------------------- */

static void divide(float *restrict r, float *restrict g, float *restrict b, const float *restrict a, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float divisor = divisor_of(a[i]);
        r[i] /= divisor, g[i] /= divisor, b[i] /= divisor;
    }
}

static uint32_t any_unusable(const float *restrict r, const float *restrict g, const float *restrict b, size_t count) {
    uint32_t found = 0;
    for (size_t i = 0; i < count; i++) {
        found |= overflow(r[i]) | overflow(g[i]) | overflow(b[i]);
    }
    return by_sign(found);
}

bool wg_fetch(const wg_picture *picture, wg_rect region, int y1, int y2, float *planes) {
    size_t width = width_of(region), area = width * height_of(region);
    wg_rect inside = wg_intersect(region, picture->bounds);
    bool whole_rows = !wg_is_empty(inside) && width_of(inside) == width;
    uint32_t found = 0;
    float alpha[PIECE];
    for (int y = y2 - 1; y >= y1; y--) {
        float *row = planes + (size_t)(region.y2 - 1 - (ptrdiff_t)y) * width;
        bool has_pixels = !wg_is_empty(inside) && y >= inside.y1 && y < inside.y2;
        for (int plane = 0; plane < 3 && !(has_pixels && whole_rows); plane++) {
            memset(row + (size_t)plane * area, 0, width * sizeof *row);
        }
        for (int x = inside.x1; has_pixels && x < inside.x2;) {
            size_t count = (size_t)least(PIECE, inside.x2 - x);
            float *r = row + (x - (ptrdiff_t)region.x1), *g = r + area, *b = g + area;
            load(picture, x, y, count, r, g, b, alpha);
            if (picture->premultiplied) {
                divide(r, g, b, alpha, count);
            }
            if (picture->depth == WG_FLOAT) {
                found |= any_unusable(r, g, b, count);
            }
            x += (int)count;
        }
    }
    return found != 0;
}

/* -- the answer into a picture ------------------------------------------------------------------ */

/* One channel of one pixel: the model's value times its weight and the scan's for the rest. */
static float mixed(float scan, float model, float weight) {
    return choose(is_less(weight, 1.0f), scan + weight * (model - scan), model);
}

/* The scan's own bits stay where it or the model is unusable, and where the weight is 0. The flags are constants at
 * each call. */
static inline void mix(piece *restrict to, const piece *restrict scan, const float *restrict r, const float *restrict g,
                       const float *restrict b, const float *restrict weights, size_t count, const bool weighted,
                       const bool premultiplied) {
    for (size_t i = 0; i < count; i++) {
        float divisor = premultiplied ? divisor_of(scan->a[i]) : 1.0f;
        float red = scan->r[i] / divisor, green = scan->g[i] / divisor, blue = scan->b[i] / divisor;
        uint32_t keep = by_sign(overflow(red) | overflow(green) | overflow(blue) | overflow(r[i]) | overflow(g[i])
                                | overflow(b[i]));
        if (weighted) {
            keep |= is_zero(weights[i]);
            red = mixed(red, r[i], weights[i]);
            green = mixed(green, g[i], weights[i]);
            blue = mixed(blue, b[i], weights[i]);
        } else {
            red = r[i], green = g[i], blue = b[i];
        }
        to->r[i] = choose(keep, scan->r[i], red * divisor);
        to->g[i] = choose(keep, scan->g[i], green * divisor);
        to->b[i] = choose(keep, scan->b[i], blue * divisor);
    }
}

static void restore(piece *to, const piece *scan, const float *model, size_t area, const float *weights, size_t count,
                    bool premultiplied) {
    const float *r = model, *g = r + area, *b = g + area;
    if (weights != NULL && premultiplied) {
        mix(to, scan, r, g, b, weights, count, true, true);
    } else if (weights != NULL) {
        mix(to, scan, r, g, b, weights, count, true, false);
    } else if (premultiplied) {
        mix(to, scan, r, g, b, NULL, count, false, true);
    } else {
        mix(to, scan, r, g, b, NULL, count, false, false);
    }
}

static float difference(float restored, float scan) {
    float change = restored - scan;
    return choose(by_sign(overflow(change)), 0.0f, change);
}

/* Restored minus scan in place: signed in floating point, around a middle grey in codes. */
static void show_change(piece *restrict restored, const piece *restrict scan, wg_depth depth, size_t count) {
    const float middle = depth == WG_FLOAT ? 0.0f : 0.5f, share = depth == WG_FLOAT ? 1.0f : 0.5f;
    for (size_t i = 0; i < count; i++) {
        restored->r[i] = middle + share * difference(restored->r[i], scan->r[i]);
        restored->g[i] = middle + share * difference(restored->g[i], scan->g[i]);
        restored->b[i] = middle + share * difference(restored->b[i], scan->b[i]);
    }
}

static void show_coverage(piece *restrict to, const float *restrict coverage, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float value = coverage == NULL ? 1.0f : choose(by_sign(overflow(coverage[i])), 0.0f, coverage[i]);
        to->r[i] = to->g[i] = to->b[i] = value;
    }
}

/* -- masks -------------------------------------------------------------------------------------- */

static void brightest(float *restrict to, const piece *restrict mask, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float value = mask->r[i];
        value = mask->g[i] > value ? mask->g[i] : value;
        to[i] = mask->b[i] > value ? mask->b[i] : value;
    }
}

/* Whether a mask is drawn into its alpha: it has no colours, or they are all black. */
static bool is_in_alpha(const wg_picture *mask) {
    if (mask->channels != 4) {
        return mask->channels == 1;
    }
    piece row;
    for (int y = mask->bounds.y1; y < mask->bounds.y2; y++) {
        for (int x = mask->bounds.x1; x < mask->bounds.x2;) {
            size_t count = (size_t)least(PIECE, mask->bounds.x2 - x);
            load(mask, x, y, count, row.r, row.g, row.b, row.a);
            for (size_t i = 0; i < count; i++) {
                if (row.r[i] != 0.0f || row.g[i] != 0.0f || row.b[i] != 0.0f) {
                    return false;
                }
            }
            x += (int)count;
        }
    }
    return true;
}

/* Weights 0 to 1 of `count` pixels from x, y: 0 outside the mask, and where it holds NaN. */
static void weigh(float weights[PIECE], const wg_picture *mask, bool in_alpha, float share, int x, int y, size_t count) {
    wg_rect row = {x, y, x + (int)count, y + 1}, inside = wg_intersect(row, mask->bounds);
    memset(weights, 0, count * sizeof *weights);
    if (wg_is_empty(inside)) {
        return;
    }
    piece colours;
    float *to = weights + (inside.x1 - x);
    size_t known = width_of(inside);
    load(mask, inside.x1, y, known, colours.r, colours.g, colours.b, colours.a);
    if (in_alpha) {
        memcpy(to, colours.a, known * sizeof *to);
    } else {
        brightest(to, &colours, known);
    }
    for (size_t i = 0; i < known; i++) {
        float value = to[i] > 0.0f ? to[i] : 0.0f;
        to[i] = (value < 1.0f ? value : 1.0f) * share;
    }
}

/* -- the whole ---------------------------------------------------------------------------------- */

static void clear(const wg_picture *picture, int x1, int x2, int y) {
    if (x1 < x2) {
        size_t pixel = (size_t)picture->channels * sample_bytes(picture->depth);
        memset(pixel_at(picture, x1, y), 0, (size_t)(x2 - (ptrdiff_t)x1) * pixel);
    }
}

void wg_compose(const wg_picture *source, const wg_answer *answer, const wg_picture *output, wg_rect window) {
    wg_rect inside = wg_intersect(window, answer->region);
    size_t width = width_of(answer->region), area = width * height_of(answer->region);
    bool whole = answer->mask == NULL && answer->mix >= 1.0f;
    bool in_alpha = answer->mask != NULL && is_in_alpha(answer->mask);
    float weights[PIECE];
    if (!whole && answer->mask == NULL) {
        for (int i = 0; i < PIECE; i++) {
            weights[i] = answer->mix;
        }
    }
    for (int y = window.y1; y < window.y2; y++) {
        if (wg_is_empty(inside) || y < inside.y1 || y >= inside.y2) {
            clear(output, window.x1, window.x2, y);
            continue;
        }
        clear(output, window.x1, inside.x1, y);
        clear(output, inside.x2, window.x2, y);
        for (int x = inside.x1; x < inside.x2;) {
            size_t count = (size_t)least(PIECE, inside.x2 - x);
            size_t at = (size_t)(answer->region.y2 - 1 - (ptrdiff_t)y) * width + (size_t)(x - (ptrdiff_t)answer->region.x1);
            piece scan, result;
            const piece *shown = &result;
            load(source, x, y, count, scan.r, scan.g, scan.b, scan.a);
            if (answer->show == WG_SHOW_COVERAGE) {
                show_coverage(&result, answer->coverage == NULL ? NULL : answer->coverage + at, count);
            } else if (answer->show == WG_SHOW_SCAN || answer->restored == NULL) {
                shown = &scan;
            } else {
                if (answer->mask != NULL) {
                    weigh(weights, answer->mask, in_alpha, answer->mix, x, y, count);
                }
                restore(&result, &scan, answer->restored + at, area, whole ? NULL : weights, count,
                        source->premultiplied);
            }
            if (answer->show == WG_SHOW_CHANGE) {
                show_change(&result, &scan, source->depth, count);
            }
            store(output, x, y, count, shown->r, shown->g, shown->b, scan.a);
            x += (int)count;
        }
    }
}
