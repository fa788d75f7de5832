#ifdef _WIN32

#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>

#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* Paths are UTF-8 outside this file. False where a text is no UTF-8 or too long. */
static bool to_wide(wchar_t *to, size_t room, const char *text) {
    return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, to, (int)room) > 0;
}

static bool to_utf8(char *to, size_t room, const wchar_t *text) {
    return WideCharToMultiByte(CP_UTF8, 0, text, -1, to, (int)room, NULL, NULL) > 0;
}

/* -- locks and the clock ------------------------------------------------------------------------ */

void wg_acquire(wg_lock *lock) { AcquireSRWLockExclusive((PSRWLOCK)(void *)&lock->word); }
void wg_release(wg_lock *lock) { ReleaseSRWLockExclusive((PSRWLOCK)(void *)&lock->word); }

double wg_now(void) {
    LARGE_INTEGER ticks, second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&second);
    return (double)ticks.QuadPart / (double)second.QuadPart;
}

void wg_sleep(int milliseconds) { Sleep((DWORD)milliseconds); }

uint32_t wg_process(void) { return GetCurrentProcessId(); }

/* -- files -------------------------------------------------------------------------------------- */

bool wg_is_absolute(const char *path) {
    bool drive = ((path[0] >= 'A' && path[0] <= 'Z') || (path[0] >= 'a' && path[0] <= 'z')) && path[1] == ':';
    return (drive && (path[2] == '\\' || path[2] == '/')) || ((path[0] == '\\' || path[0] == '/') && path[1] == path[0]);
}

bool wg_stamp_of(const char *path, wg_stamp *stamp) {
    wchar_t wide[WG_PATH_ROOM];
    WIN32_FILE_ATTRIBUTE_DATA file;
    if (!to_wide(wide, WG_PATH_ROOM, path) || !GetFileAttributesExW(wide, GetFileExInfoStandard, &file)
        || (file.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
        return false;
    }
    stamp->modified = (int64_t)((uint64_t)file.ftLastWriteTime.dwHighDateTime << 32 | file.ftLastWriteTime.dwLowDateTime);
    stamp->bytes = (int64_t)((uint64_t)file.nFileSizeHigh << 32 | file.nFileSizeLow);
    return true;
}

static bool variable(wchar_t *to, size_t room, const wchar_t *name) {
    DWORD length = GetEnvironmentVariableW(name, to, (DWORD)room);
    return length > 0 && length < room;
}

/* `head` and `tail` behind the value of a variable; false when that is not set or too long. */
static bool path_from(wchar_t *to, size_t room, const wchar_t *name, const wchar_t *tail) {
    if (!variable(to, room, name) || wcslen(to) + wcslen(tail) >= room) {
        return false;
    }
    wcscat(to, tail);
    return true;
}

static bool runtime_path(wchar_t *to, size_t room, const wchar_t *tail) {
    wchar_t folder[WG_PATH_ROOM];
    bool found = path_from(folder, WG_PATH_ROOM, L"WETGATE_RUNTIME", L"")
                 || path_from(folder, WG_PATH_ROOM, L"LOCALAPPDATA", L"\\Wetgate\\run");
    if (!found || wcslen(folder) + wcslen(tail) >= room) {
        return false;
    }
    wcscpy(to, folder);
    wcscat(to, tail);
    return true;
}

/* The last `room` - 1 bytes of a file, or all of it; how many. */
static size_t read_tail(const wchar_t *path, char *to, size_t room) {
    const DWORD others = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    HANDLE file = CreateFileW(path, GENERIC_READ, others, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    LARGE_INTEGER size = {0}, from = {0};
    DWORD count = 0;
    to[0] = 0;
    if (file == INVALID_HANDLE_VALUE) {
        return 0;
    }
    if (GetFileSizeEx(file, &size) && size.QuadPart >= (LONGLONG)room) {
        from.QuadPart = size.QuadPart - (LONGLONG)(room - 1);
    }
    if (!SetFilePointerEx(file, from, NULL, FILE_BEGIN) || !ReadFile(file, to, (DWORD)(room - 1), &count, NULL)) {
        count = 0;
    }
    CloseHandle(file);
    to[count] = 0;
    return count;
}

void wg_log_path(char *to, size_t room) {
    wchar_t path[WG_PATH_ROOM];
    if (!runtime_path(path, WG_PATH_ROOM, L"\\server.log") || !to_utf8(to, room, path)) {
        wg_copy_text(to, room, "server.log", strlen("server.log"));
    }
}

void wg_last_log_line(char *to, size_t room) {
    wchar_t path[WG_PATH_ROOM];
    char tail[1024];
    size_t length = runtime_path(path, WG_PATH_ROOM, L"\\server.log") ? read_tail(path, tail, sizeof tail) : 0;
    wg_copy_last_line(to, room, tail, length);
}

/* -- the line to the server --------------------------------------------------------------------- */

static int digit_of(char hexadecimal) {
    static const char digits[] = "0123456789abcdef";
    const char *found = hexadecimal != 0 ? strchr(digits, hexadecimal | 0x20) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

/* server.address: `wetgate 1`, the port, the token in hexadecimal digits. */
static bool read_address(uint16_t *port, uint8_t token[32]) {
    wchar_t path[WG_PATH_ROOM];
    char text[256];
    if (!runtime_path(path, WG_PATH_ROOM, L"\\server.address") || read_tail(path, text, sizeof text) == 0) {
        return false;
    }
    char digits[65];
    unsigned long version, number;
    if (sscanf(text, "wetgate %5lu %5lu %64s", &version, &number, digits) != 3 || version != 1 || number == 0
        || number > 65535 || strlen(digits) != 64) {
        return false;
    }
    for (size_t i = 0; i < 32; i++) {
        int high = digit_of(digits[2 * i]), low = digit_of(digits[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        token[i] = (uint8_t)(high << 4 | low);
    }
    *port = (uint16_t)number;
    return true;
}

/* Whether a connection to this machine stands: it does at once or never, for the system answers, not the server. */
static bool stands(SOCKET made) {
    WSAPOLLFD ready = {made, POLLWRNORM, 0};
    int error = 0, size = sizeof error;
    return WSAPoll(&ready, 1, 250) == 1 && (ready.revents & POLLWRNORM) != 0
           && getsockopt(made, SOL_SOCKET, SO_ERROR, (char *)&error, &size) == 0 && error == 0;
}

wg_reach wg_line_open(wg_line *line, uint8_t token[32], wg_sentence *why) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    WSADATA about;
    uint16_t port;
    u_long yes = 1;
    (void)why;
    line->socket = -1;
    if (!read_address(&port, token)) {
        return WG_NOBODY;
    }
    if (WSAStartup(MAKEWORD(2, 2), &about) != 0) { /* counted; wg_line_close takes it back */
        return WG_NOT_YET;
    }
    SOCKET made = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    if (made == INVALID_SOCKET) {
        WSACleanup();
        return WG_NOT_YET;
    }
    line->socket = (intptr_t)made;
    SetHandleInformation((HANDLE)made, HANDLE_FLAG_INHERIT, 0);
    setsockopt(made, IPPROTO_TCP, TCP_NODELAY, (const char *)&yes, sizeof(int));
    ioctlsocket(made, FIONBIO, &yes);
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if ((connect(made, (struct sockaddr *)&address, sizeof address) != 0 && WSAGetLastError() != WSAEWOULDBLOCK)
        || !stands(made)) {
        wg_line_close(line);
        return WG_NOBODY;
    }
    return WG_REACHED;
}

void wg_line_close(wg_line *line) {
    if (line->socket != -1) {
        closesocket((SOCKET)line->socket);
        WSACleanup();
    }
    line->socket = -1;
}

bool wg_line_send(wg_line *line, const void *bytes, size_t count, const wg_memory *memory) {
    (void)memory; /* travels by its name */
    SOCKET to = (SOCKET)line->socket;
    for (const char *next = bytes; count > 0;) {
        int sent = send(to, next, (int)count, 0);
        if (sent > 0) {
            next += sent;
            count -= (size_t)sent;
        } else {
            WSAPOLLFD ready = {to, POLLWRNORM, 0};
            if (WSAGetLastError() != WSAEWOULDBLOCK || WSAPoll(&ready, 1, 5000) == 0) {
                return false; /* a server that reads nothing for so long is none */
            }
        }
    }
    return true;
}

int wg_line_receive(wg_line *line, void *to, size_t room, int milliseconds) {
    WSAPOLLFD ready = {(SOCKET)line->socket, POLLRDNORM, 0};
    int found = WSAPoll(&ready, 1, milliseconds);
    if (found <= 0) {
        return found;
    }
    int count = recv((SOCKET)line->socket, to, room > INT32_MAX ? INT32_MAX : (int)room, 0);
    if (count > 0) {
        return count;
    }
    return count < 0 && WSAGetLastError() == WSAEWOULDBLOCK ? 0 : -1;
}

/* -- memory that both sides map ----------------------------------------------------------------- */

/* Random bytes of the system, by the function that advapi32 exports under this name. */
static bool random_bytes(void *to, ULONG count) {
    typedef BOOLEAN(WINAPI * generator)(void *, ULONG);
    HMODULE library = LoadLibraryExW(L"advapi32.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    FARPROC found = library != NULL ? GetProcAddress(library, "SystemFunction036") : NULL;
    generator generate;
    memcpy(&generate, &found, sizeof generate);
    bool made = generate != NULL && generate(to, count);
    if (library != NULL) {
        FreeLibrary(library);
    }
    return made;
}

bool wg_memory_make(wg_memory *memory, size_t bytes) {
    uint8_t chance[16];
    wchar_t name[sizeof memory->name];
    memset(memory, 0, sizeof *memory);
    if (!random_bytes(chance, sizeof chance)) {
        return false;
    }
    size_t length = strlen(strcpy(memory->name, "Local\\wetgate-"));
    for (size_t i = 0; i < sizeof chance; i++) {
        length += (size_t)snprintf(memory->name + length, sizeof memory->name - length, "%02x", chance[i]);
    }
    to_wide(name, sizeof name / sizeof *name, memory->name);
    HANDLE mapping = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, (DWORD)((uint64_t)bytes >> 32),
                                        (DWORD)bytes, name);
    bool is_new = mapping != NULL && GetLastError() != ERROR_ALREADY_EXISTS;
    void *base = is_new ? MapViewOfFile(mapping, FILE_MAP_ALL_ACCESS, 0, 0, bytes) : NULL;
    if (base == NULL) {
        if (mapping != NULL) {
            CloseHandle(mapping);
        }
        return false;
    }
    memory->base = base;
    memory->bytes = bytes;
    memory->handle = (intptr_t)mapping;
    return true;
}

void wg_memory_drop(wg_memory *memory) {
    if (memory->base != NULL) {
        UnmapViewOfFile(memory->base);
        CloseHandle((HANDLE)memory->handle);
    }
    memory->base = NULL;
    memory->bytes = 0;
}

/* -- starting a server -------------------------------------------------------------------------- */

static bool is_command(const wchar_t *path) {
    DWORD attributes = GetFileAttributesW(path);
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0;
}

/* The first line of wetgate-command.txt in the bundle that this code was loaded from. */
static bool command_of_bundle(wchar_t *to, size_t room) {
    static const wchar_t tail[] = L"\\Resources\\wetgate-command.txt";
    static const char inside = 0; /* lies in this binary */
    const DWORD how = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    HMODULE binary;
    wchar_t path[WG_PATH_ROOM];
    char line[WG_PATH_ROOM];
    DWORD length = GetModuleHandleExW(how, (const wchar_t *)(const void *)&inside, &binary)
                       ? GetModuleFileNameW(binary, path, WG_PATH_ROOM)
                       : 0;
    if (length == 0 || length + sizeof tail / sizeof *tail > WG_PATH_ROOM) {
        return false;
    }
    for (int up = 0; up < 2; up++) { /* from Contents\Win64\wetgate.ofx to Contents */
        wchar_t *slash = wcsrchr(path, L'\\');
        if (slash == NULL) {
            return false;
        }
        *slash = 0;
    }
    wcscat(path, tail);
    if (read_tail(path, line, sizeof line) == 0) {
        return false;
    }
    line[strcspn(line, "\r\n")] = 0;
    return to_wide(to, room, line);
}

static bool find_command(wchar_t *to, size_t room) {
    return (variable(to, room, L"WETGATE_COMMAND") && is_command(to)) || (command_of_bundle(to, room) && is_command(to))
           || (path_from(to, room, L"LOCALAPPDATA", L"\\Wetgate\\bin\\wetgate.cmd") && is_command(to))
           || SearchPathW(NULL, L"wetgate", L".exe", (DWORD)room, to, NULL) - 1 < room - 1
           || SearchPathW(NULL, L"wetgate", L".cmd", (DWORD)room, to, NULL) - 1 < room - 1;
}

/* The environment without what a host sets for its own Python. */
static wchar_t *clean_environment(void) {
    static const wchar_t *const dropped[] = {L"PYTHONHOME=",    L"PYTHONPATH=",           L"PYTHONEXECUTABLE=",
                                             L"PYTHONSTARTUP=", L"__PYVENV_LAUNCHER__=", L"LD_LIBRARY_PATH="};
    wchar_t *all = GetEnvironmentStringsW();
    size_t length = 0, used = 0;
    while (all != NULL && all[length] != 0) {
        length += wcslen(all + length) + 1;
    }
    wchar_t *clean = malloc((length + 2) * sizeof *clean);
    for (size_t at = 0; clean != NULL && at < length; at += wcslen(all + at) + 1) {
        bool keep = true;
        for (size_t d = 0; d < sizeof dropped / sizeof *dropped; d++) {
            keep = keep && _wcsnicmp(all + at, dropped[d], wcslen(dropped[d])) != 0;
        }
        if (keep) {
            wcscpy(clean + used, all + at);
            used += wcslen(all + at) + 1;
        }
    }
    if (clean != NULL) {
        clean[used] = clean[used + 1] = 0;
    }
    if (all != NULL) {
        FreeEnvironmentStringsW(all);
    }
    return clean;
}

/* A program's command line; a script's goes through the system's cmd.exe, which takes the outer quotes off. */
static bool command_line(wchar_t *to, size_t room, const wchar_t *command) {
    wchar_t system[MAX_PATH];
    const wchar_t *suffix = wcsrchr(command, L'.');
    bool script = suffix != NULL && (_wcsicmp(suffix, L".cmd") == 0 || _wcsicmp(suffix, L".bat") == 0);
    UINT length = GetSystemDirectoryW(system, MAX_PATH);
    if (length == 0 || length >= MAX_PATH) {
        return false;
    }
    int written = script ? _snwprintf(to, room, L"\"%ls\\cmd.exe\" /d /s /c \"\"%ls\" serve\"", system, command)
                         : _snwprintf(to, room, L"\"%ls\" serve", command);
    return written > 0 && (size_t)written < room;
}

bool wg_start_server(wg_child *child, wg_sentence *why) {
    wchar_t command[WG_PATH_ROOM], line[WG_PATH_ROOM + MAX_PATH];
    STARTUPINFOW window = {.cb = sizeof window};
    PROCESS_INFORMATION made;
    child->handle = -1;
    if (!find_command(command, WG_PATH_ROOM)) {
        wg_say(why, "The wetgate command was not found, so no inference server can be started; "
                    "run `wetgate node install` or set WETGATE_COMMAND.");
        return false;
    }
    wchar_t *environment = clean_environment();
    const DWORD how = CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP | CREATE_UNICODE_ENVIRONMENT;
    bool started = false;
    if (environment != NULL && command_line(line, sizeof line / sizeof *line, command)) {
        /* out of the host's job where that is allowed, so as to outlive the host */
        started = CreateProcessW(NULL, line, NULL, NULL, FALSE, how | CREATE_BREAKAWAY_FROM_JOB, environment, NULL, &window, &made)
                  || CreateProcessW(NULL, line, NULL, NULL, FALSE, how, environment, NULL, &window, &made);
    }
    free(environment);
    if (!started) {
        char name[WG_PATH_ROOM];
        wg_say(why, "The inference server cannot be started by %s (error %lu).",
               to_utf8(name, sizeof name, command) ? name : "wetgate", GetLastError());
        return false;
    }
    CloseHandle(made.hThread);
    child->handle = (intptr_t)made.hProcess;
    return true;
}

wg_child_state wg_child_look(wg_child *child) {
    DWORD code = 0;
    if (child->handle == -1 || WaitForSingleObject((HANDLE)child->handle, 0) != WAIT_OBJECT_0) {
        return WG_CHILD_RUNS;
    }
    GetExitCodeProcess((HANDLE)child->handle, &code);
    wg_child_forget(child);
    return code == 0 ? WG_CHILD_STOOD_BACK : WG_CHILD_FAILED;
}

void wg_child_forget(wg_child *child) {
    if (child->handle != -1) {
        CloseHandle((HANDLE)child->handle);
    }
    child->handle = -1;
}

#endif
