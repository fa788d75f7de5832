/* One sentence for the artist: what is wrong, with what, what to do. UTF-8, never longer than its room. */
#ifndef WETGATE_SENTENCE_H
#define WETGATE_SENTENCE_H

#include <stddef.h>

typedef struct { char text[1024]; } wg_sentence;

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void wg_say(wg_sentence *sentence, const char *format, ...);

/* Copies as much of `length` bytes of UTF-8 as `room` holds with a NUL, and no half character. */
void wg_copy_text(char *to, size_t room, const char *text, size_t length);

/* Copies the last line of `length` bytes that is not empty, without its end. */
void wg_copy_last_line(char *to, size_t room, const char *text, size_t length);

#endif
