/* What a DLL needs of a C library that Windows does not bring: the place where it is entered, and snprintf.
 *
 * Everything else (malloc, strlen, fopen, ...) is in ucrtbase.dll, part of Windows since version 10. Its environment and
 * its locale may not be set up in a host that uses another C library: ask Windows for the environment. */

#ifdef _WIN32

#include <stdarg.h>
#include <stdio.h>
#include <windows.h>

#define STANDARD_SNPRINTF 2 /* ends with NUL always, gives the length that was wanted */

int __cdecl __stdio_common_vsprintf(unsigned __int64 options, char *text, size_t size, const char *format,
                                    _locale_t locale, va_list values);

BOOL WINAPI DllMainCRTStartup(HINSTANCE library, DWORD reason, LPVOID reserved)
{
    (void)library, (void)reason, (void)reserved;
    return TRUE;
}

int vsnprintf(char *text, size_t size, const char *format, va_list values)
{
    return __stdio_common_vsprintf(STANDARD_SNPRINTF, text, size, format, NULL, values);
}

int snprintf(char *text, size_t size, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    int length = vsnprintf(text, size, format, values);
    va_end(values);
    return length;
}

#endif
