/* What a DLL needs of a C library that Windows does not bring: the place where it is entered, and the functions around
 * printf and scanf, which ucrtbase.dll has under other names. Everything else (malloc, strlen, ...) is there as it is, in
 * every Windows since 10.
 *
 * So the build links no start-up code of a compiler's. What that would set up is not: ask Windows for the environment, not
 * getenv, and use no locale. */

#ifdef _WIN32

#include <stdarg.h>
#include <stddef.h>
#include <windows.h>

#define STANDARD_SNPRINTF 2 /* ends with NUL always, gives the length that was wanted */
#define LEGACY_SNWPRINTF 1  /* as _snwprintf is documented: -1 where the room does not do */

typedef unsigned __int64 options_t;

int __cdecl __stdio_common_vsprintf(options_t, char *, size_t, const char *, void *locale, va_list);
int __cdecl __stdio_common_vswprintf(options_t, wchar_t *, size_t, const wchar_t *, void *locale, va_list);
int __cdecl __stdio_common_vsscanf(options_t, const char *, size_t, const char *, void *locale, va_list);

BOOL WINAPI DllMainCRTStartup(HINSTANCE library, DWORD reason, LPVOID reserved) {
    (void)library, (void)reason, (void)reserved;
    return TRUE;
}

int vsnprintf(char *text, size_t room, const char *format, va_list values) {
    return __stdio_common_vsprintf(STANDARD_SNPRINTF, text, room, format, NULL, values);
}

int snprintf(char *text, size_t room, const char *format, ...) {
    va_list values;
    va_start(values, format);
    int length = vsnprintf(text, room, format, values);
    va_end(values);
    return length;
}

int _snwprintf(wchar_t *text, size_t room, const wchar_t *format, ...) {
    va_list values;
    va_start(values, format);
    int length = __stdio_common_vswprintf(LEGACY_SNWPRINTF, text, room, format, NULL, values);
    va_end(values);
    return length;
}

int sscanf(const char *text, const char *format, ...) {
    va_list values;
    va_start(values, format);
    int found = __stdio_common_vsscanf(0, text, (size_t)-1, format, NULL, values);
    va_end(values);
    return found;
}

#endif
