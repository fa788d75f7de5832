/* Pixels on their way: a host's picture into planes for the model, and the answer back into a picture.
 *
 * Pictures are interleaved with y upwards, planes are float32 rows from the top without gaps. Nothing here
 * knows OpenFX or does I/O. What becomes of single pixels is what `wetgate apply` does (wetgate/inference/pixels.py).
 */
#ifndef WETGATE_PIXELS_H
#define WETGATE_PIXELS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct { int x1, y1, x2, y2; } wg_rect; /* x2 and y2 are outside */

typedef enum { WG_BYTE, WG_SHORT, WG_FLOAT } wg_depth; /* unsigned 8 and 16 bits, 32-bit floating point */

typedef struct {
    unsigned char *data; /* the pixel at bounds.x1, bounds.y1: bottom left */
    ptrdiff_t row_bytes; /* to the row above; may be negative */
    wg_rect bounds;
    wg_depth depth;
    int channels;        /* 1 alpha, 3 RGB, 4 RGBA */
    bool premultiplied;  /* RGBA only */
} wg_picture;

typedef enum { WG_SHOW_RESTORED, WG_SHOW_CHANGE, WG_SHOW_COVERAGE, WG_SHOW_SCAN } wg_show;

typedef struct {
    wg_rect region;        /* what the planes cover; inside the source's bounds */
    const float *restored; /* [3][height][width], or NULL: the scan itself */
    const float *coverage; /* [height][width], or NULL: 1 everywhere */
    const wg_picture *mask; /* or NULL: everything is selected */
    float mix;             /* 0 to 1 */
    wg_show show;
} wg_answer;

wg_rect wg_intersect(wg_rect a, wg_rect b);
bool wg_is_empty(wg_rect rect);

/* Writes the rows y1 to y2 of `region` of `picture`, which is [3][height][width] in planes; where the picture has no
 * pixels they are black. Premultiplied colours are divided by their alpha. Returns whether a NaN or an infinity was
 * written. */
bool wg_fetch(const wg_picture *picture, wg_rect region, int y1, int y2, float *planes);

/* Writes `window` of `output`, which lies inside its bounds; nothing outside it is touched. Source and output
 * have the same depth and channels. What lies outside the answer's region becomes transparent black. */
void wg_compose(const wg_picture *source, const wg_answer *answer, const wg_picture *output, wg_rect window);

#endif
