#ifndef _WIN32

#ifdef __APPLE__
#define _DARWIN_C_SOURCE
#else
#define _GNU_SOURCE
#endif

#include "platform.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

#ifdef __APPLE__
#include <crt_externs.h>
#define environ (*_NSGetEnviron()) /* a library has no `environ` there */
#else
extern char **environ;
#endif

/* -- locks and the clock ------------------------------------------------------------------------ */

void wg_acquire(wg_lock *lock) { pthread_mutex_lock(&lock->mutex); }
void wg_release(wg_lock *lock) { pthread_mutex_unlock(&lock->mutex); }

double wg_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void wg_sleep(int milliseconds) {
    struct timespec rest = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    nanosleep(&rest, NULL);
}

uint32_t wg_process(void) { return (uint32_t)getpid(); }

/* -- files -------------------------------------------------------------------------------------- */

bool wg_is_absolute(const char *path) { return path[0] == '/'; }

bool wg_stamp_of(const char *path, wg_stamp *stamp) {
    struct stat file;
    if (stat(path, &file) != 0 || !S_ISREG(file.st_mode)) {
        return false;
    }
#ifdef __APPLE__
    struct timespec modified = file.st_mtimespec;
#else
    struct timespec modified = file.st_mtim;
#endif
    stamp->modified = (int64_t)modified.tv_sec * 1000000000 + modified.tv_nsec;
    stamp->bytes = file.st_size;
    return true;
}

/* The path of `name` in the server's folder, or the folder's own; false when it is too long. */
static bool runtime_path(char *to, size_t room, const char *name) {
    const char *folder = getenv("WETGATE_RUNTIME"), *slash = name[0] != 0 ? "/" : "";
    int length = folder != NULL && folder[0] != 0
                     ? snprintf(to, room, "%s%s%s", folder, slash, name)
                     : snprintf(to, room, "/tmp/wetgate-%lu%s%s", (unsigned long)geteuid(), slash, name);
    return length > 0 && (size_t)length < room;
}

void wg_log_path(char *to, size_t room) {
    if (!runtime_path(to, room, "server.log")) {
        wg_copy_text(to, room, "server.log", strlen("server.log"));
    }
}

void wg_last_log_line(char *to, size_t room) {
    char path[WG_PATH_ROOM], tail[1024];
    to[0] = 0;
    int file = runtime_path(path, sizeof path, "server.log") ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    if (file < 0) {
        return;
    }
    off_t end = lseek(file, 0, SEEK_END);
    ssize_t count = end < 0 ? -1 : pread(file, tail, sizeof tail, end > (off_t)sizeof tail ? end - (off_t)sizeof tail : 0);
    close(file);
    wg_copy_last_line(to, room, tail, count > 0 ? (size_t)count : 0);
}

/* -- the line to the server --------------------------------------------------------------------- */

static bool is_peer_ours(int socket) {
#ifdef __linux__
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
#else
    uid_t user;
    gid_t group;
    return getpeereid(socket, &user, &group) == 0 && user == geteuid();
#endif
}

static int new_socket(void) {
    int made = socket(AF_UNIX, SOCK_STREAM, 0);
    if (made >= 0) {
        fcntl(made, F_SETFD, FD_CLOEXEC);
        fcntl(made, F_SETFL, O_NONBLOCK);
#ifdef SO_NOSIGPIPE
        int yes = 1;
        setsockopt(made, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes);
#endif
    }
    return made;
}

/* Whether a folder is no link and belongs to this user alone. */
static bool is_private(const struct stat *folder) {
    return S_ISDIR(folder->st_mode) && folder->st_uid == geteuid() && (folder->st_mode & 077) == 0;
}

wg_reach wg_line_open(wg_line *line, uint8_t token[32], wg_sentence *why) {
    char folder[WG_PATH_ROOM];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat place;
    line->socket = -1;
    memset(token, 0, 32);
    if (!runtime_path(folder, sizeof folder, "")
        || !runtime_path(address.sun_path, sizeof address.sun_path, "server.sock")) {
        wg_say(why, "The path of the inference server's folder is too long; set WETGATE_RUNTIME to a shorter one.");
        return WG_NOT_OURS;
    }
    if (lstat(folder, &place) != 0) {
        return WG_NOBODY;
    }
    if (!is_private(&place)) {
        wg_say(why, "The inference server's folder %s is not a folder of yours alone; remove it, or set WETGATE_RUNTIME.",
               folder);
        return WG_NOT_OURS;
    }
    int made = new_socket();
    if (made < 0) {
        return WG_NOT_YET;
    }
    if (connect(made, (struct sockaddr *)&address, sizeof address) != 0) {
        bool nobody = errno == ENOENT || errno == ECONNREFUSED;
        close(made);
        return nobody ? WG_NOBODY : WG_NOT_YET;
    }
    if (!is_peer_ours(made)) {
        close(made);
        wg_say(why, "The inference server in %s was started by another user.", folder);
        return WG_NOT_OURS;
    }
    line->socket = made;
    return WG_REACHED;
}

void wg_line_close(wg_line *line) {
    if (line->socket >= 0) {
        close((int)line->socket);
    }
    line->socket = -1;
}

bool wg_line_send(wg_line *line, const void *bytes, size_t count, const wg_memory *memory) {
    union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } ancillary;
    struct iovec part = {(void *)(uintptr_t)bytes, count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (memory != NULL) {
        memset(&ancillary, 0, sizeof ancillary);
        message.msg_control = ancillary.room;
        message.msg_controllen = sizeof ancillary.room;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        int descriptor = (int)memory->handle;
        memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
#ifdef MSG_NOSIGNAL
    const int flags = MSG_NOSIGNAL;
#else
    const int flags = 0;
#endif
    while (part.iov_len > 0) {
        ssize_t sent = sendmsg((int)line->socket, &message, flags);
        if (sent > 0) { /* the descriptor went with the first byte */
            part.iov_base = (char *)part.iov_base + sent;
            part.iov_len -= (size_t)sent;
            message.msg_control = NULL;
            message.msg_controllen = 0;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            struct pollfd ready = {(int)line->socket, POLLOUT, 0};
            if (poll(&ready, 1, 5000) == 0) {
                return false; /* a server that reads nothing for so long is none */
            }
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

int wg_line_receive(wg_line *line, void *to, size_t room, int milliseconds) {
    struct pollfd ready = {(int)line->socket, POLLIN, 0};
    int found = poll(&ready, 1, milliseconds);
    if (found <= 0) {
        return found == 0 || errno == EINTR ? 0 : -1;
    }
    ssize_t count = recv((int)line->socket, to, room, 0);
    if (count > 0) {
        return (int)count;
    }
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? 0 : -1;
}

/* -- memory that both sides map ----------------------------------------------------------------- */

#ifdef __linux__
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_SEAL_SHRINK 2
#endif

/* An anonymous file of `bytes` that cannot shrink any more. */
static int sealed_file(size_t bytes) {
#ifdef SYS_memfd_create
    const unsigned int close_on_exec = 1, allow_sealing = 2;
    int file = (int)syscall(SYS_memfd_create, "wetgate", close_on_exec | allow_sealing);
    if (file >= 0 && (ftruncate(file, (off_t)bytes) != 0 || fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK) != 0)) {
        close(file);
        return -1;
    }
    return file;
#else
    (void)bytes;
    return -1;
#endif
}
#endif

/* A file in the server's folder that has lost its name; its blocks are reserved, so that a full disk is no SIGBUS. */
static int nameless_file(size_t bytes) {
    char path[WG_PATH_ROOM];
    if (!runtime_path(path, sizeof path, "memory-XXXXXX")) {
        return -1;
    }
    int file = mkstemp(path);
    if (file < 0) {
        return -1;
    }
    unlink(path);
    fcntl(file, F_SETFD, FD_CLOEXEC);
#ifdef __APPLE__
    fstore_t blocks = {F_ALLOCATEALL, F_PEOFPOSMODE, 0, (off_t)bytes, 0};
    bool made = fcntl(file, F_PREALLOCATE, &blocks) == 0 && ftruncate(file, (off_t)bytes) == 0;
#else
    bool made = posix_fallocate(file, 0, (off_t)bytes) == 0;
#endif
    if (!made) {
        close(file);
        return -1;
    }
    return file;
}

bool wg_memory_make(wg_memory *memory, size_t bytes) {
    memset(memory, 0, sizeof *memory);
    int file = -1;
#ifdef __linux__
    file = sealed_file(bytes);
#endif
    if (file < 0) {
        file = nameless_file(bytes);
    }
    void *base = file < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (base == MAP_FAILED) {
        if (file >= 0) {
            close(file);
        }
        return false;
    }
    *memory = (wg_memory){.base = base, .bytes = bytes, .handle = file};
    return true;
}

void wg_memory_drop(wg_memory *memory) {
    if (memory->base != NULL) {
        munmap(memory->base, memory->bytes);
        close((int)memory->handle);
    }
    memory->base = NULL;
    memory->bytes = 0;
}

/* -- starting a server -------------------------------------------------------------------------- */

static bool is_command(const char *path) { return path[0] == '/' && access(path, X_OK) == 0; }

/* The first line of wetgate-command.txt in the bundle that this code was loaded from. */
static bool command_of_bundle(char *to, size_t room) {
    static const char tail[] = "Resources/wetgate-command.txt";
    static const char inside = 0; /* lies in this binary */
    Dl_info binary;
    char path[PATH_MAX + sizeof tail];
    if (dladdr(&inside, &binary) == 0 || binary.dli_fname == NULL || realpath(binary.dli_fname, path) == NULL) {
        return false;
    }
    for (int up = 0; up < 2; up++) { /* from Contents/ARCHITECTURE/wetgate.ofx to Contents */
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            return false;
        }
        *slash = 0;
    }
    size_t length = strlen(path);
    snprintf(path + length, sizeof path - length, "/%s", tail);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool read = fgets(to, (int)room, file) != NULL;
    fclose(file);
    to[read ? strcspn(to, "\r\n") : 0] = 0;
    return read;
}

/* `name` in the first folder of PATH that has it. */
static bool command_on_path(char *to, size_t room, const char *name) {
    const char *folder = getenv("PATH");
    while (folder != NULL && *folder != 0) {
        size_t length = strcspn(folder, ":");
        int written = snprintf(to, room, "%.*s/%s", (int)length, folder, name);
        if (written > 0 && (size_t)written < room && is_command(to)) {
            return true;
        }
        folder += length + (folder[length] == ':');
    }
    return false;
}

static bool find_command(char *to, size_t room) {
    const char *named = getenv("WETGATE_COMMAND"), *home = getenv("HOME");
    if (named != NULL && strlen(named) < room && is_command(named)) {
        strcpy(to, named);
        return true;
    }
    if (command_of_bundle(to, room) && is_command(to)) {
        return true;
    }
    if (home != NULL) {
        int written = snprintf(to, room, "%s/.local/bin/wetgate", home);
        if (written > 0 && (size_t)written < room && is_command(to)) {
            return true;
        }
    }
    return command_on_path(to, room, "wetgate");
}

/* The environment without what a host sets for its own Python and libraries; the strings stay the host's. */
static char **clean_environment(void) {
    static const char *const dropped[] = {"PYTHONHOME=",       "PYTHONPATH=",           "PYTHONEXECUTABLE=",
                                          "PYTHONSTARTUP=", "__PYVENV_LAUNCHER__=", "LD_LIBRARY_PATH="};
    size_t count = 0, kept = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **clean = malloc((count + 1) * sizeof *clean);
    for (size_t i = 0; clean != NULL && i <= count; i++) {
        bool keep = true;
        for (size_t d = 0; environ[i] != NULL && d < sizeof dropped / sizeof *dropped; d++) {
            keep = keep && strncmp(environ[i], dropped[d], strlen(dropped[d])) != 0;
        }
        if (keep) {
            clean[kept++] = environ[i];
        }
    }
    return clean;
}

/* The server's log, for what it prints before it writes there itself; -1 where there is none. No descriptor of 0 to 2. */
static int open_log(void) {
    char path[WG_PATH_ROOM];
    struct stat folder;
    if (!runtime_path(path, sizeof path, "") || (mkdir(path, 0700) != 0 && errno != EEXIST) || lstat(path, &folder) != 0
        || !is_private(&folder) || !runtime_path(path, sizeof path, "server.log")) {
        return -1;
    }
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    int log = file < 0 ? -1 : fcntl(file, F_DUPFD_CLOEXEC, 3);
    if (file >= 0) {
        close(file);
    }
    return log;
}

/* What the child does between fork and exec: only what is safe in a process that had threads. */
static void become_server(const char *command, char **environment, int log) {
    static const int usual[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    char *const words[] = {(char *)(uintptr_t)command, (char *)(uintptr_t)"serve", NULL};
    sigset_t none;
    sigemptyset(&none);
    setsid();
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        signal(usual[i], SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 0);
    dup2(log < 0 ? nothing : log, 1);
    dup2(log < 0 ? nothing : log, 2);
    long last = sysconf(_SC_OPEN_MAX);
    for (int descriptor = 3; descriptor < (last > 0 && last < 4096 ? (int)last : 4096); descriptor++) {
        close(descriptor); /* the host's files are none of the server's business */
    }
    execve(command, words, environment);
    _exit(127);
}

bool wg_start_server(wg_child *child, wg_sentence *why) {
    char command[WG_PATH_ROOM];
    child->handle = -1;
    if (!find_command(command, sizeof command)) {
        wg_say(why, "The wetgate command was not found, so no inference server can be started; "
                    "run `wetgate node install` or set WETGATE_COMMAND.");
        return false;
    }
    char **environment = clean_environment();
    int log = open_log();
    pid_t made = environment == NULL ? -1 : fork();
    if (made == 0) {
        become_server(command, environment, log);
    }
    int reason = errno;
    free(environment);
    if (log >= 0) {
        close(log);
    }
    if (made < 0) {
        wg_say(why, "The inference server cannot be started by %s: %s.", command, strerror(reason));
        return false;
    }
    child->handle = made;
    return true;
}

wg_child_state wg_child_look(wg_child *child) {
    int status;
    if (child->handle < 0 || waitpid((pid_t)child->handle, &status, WNOHANG) != (pid_t)child->handle) {
        return WG_CHILD_RUNS;
    }
    child->handle = -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? WG_CHILD_STOOD_BACK : WG_CHILD_FAILED;
}

void wg_child_forget(wg_child *child) {
    wg_child_look(child); /* takes the exit code if there is one */
    child->handle = -1;
}

#endif
