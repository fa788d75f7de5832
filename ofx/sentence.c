#include "sentence.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void end_at_a_character(char *text, size_t length) {
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) {
        length--;
    }
    text[length] = 0;
}

void wg_say(wg_sentence *sentence, const char *format, ...) {
    char whole[4096];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(whole, sizeof whole, format, values);
    va_end(values);
    wg_copy_text(sentence->text, sizeof sentence->text, whole, length < 0 ? 0 : strlen(whole));
}

void wg_copy_text(char *to, size_t room, const char *text, size_t length) {
    if (length < room) {
        memcpy(to, text, length);
        to[length] = 0;
        return;
    }
    memcpy(to, text, room);
    end_at_a_character(to, room - 1);
}

void wg_copy_last_line(char *to, size_t room, const char *text, size_t length) {
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) {
        length--;
    }
    size_t first = length;
    while (first > 0 && text[first - 1] != '\n') {
        first--;
    }
    wg_copy_text(to, room, text + first, length - first);
}
