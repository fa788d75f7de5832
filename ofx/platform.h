/* What differs between operating systems: locks, clock, files, the line to the server, shared memory, starting it. */
#ifndef WETGATE_PLATFORM_H
#define WETGATE_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sentence.h"

enum { WG_PATH_ROOM = 4096 };

/* -- locks and the clock ------------------------------------------------------------------------ */

#ifdef _WIN32
typedef struct { void *word; } wg_lock;
#define WG_LOCK_FREE {0}
#else
#include <pthread.h>
typedef struct { pthread_mutex_t mutex; } wg_lock;
#define WG_LOCK_FREE {PTHREAD_MUTEX_INITIALIZER}
#endif

void wg_acquire(wg_lock *lock);
void wg_release(wg_lock *lock);

double wg_now(void); /* seconds since some moment, never backwards */
void wg_sleep(int milliseconds);
uint32_t wg_process(void);

/* -- files -------------------------------------------------------------------------------------- */

typedef struct { int64_t modified, bytes; } wg_stamp;

bool wg_is_absolute(const char *path);
bool wg_stamp_of(const char *path, wg_stamp *stamp); /* false where there is no such file */
void wg_last_log_line(char *to, size_t room);        /* of the server's log; "" where it says nothing */
void wg_log_path(char *to, size_t room);

/* -- the line to the server --------------------------------------------------------------------- */

typedef struct { intptr_t socket; } wg_line;

typedef enum {
    WG_REACHED,
    WG_NOBODY,    /* no server lives */
    WG_NOT_YET,   /* one seems to, but does not answer at the moment */
    WG_NOT_OURS,  /* who or what is there must not be spoken to: `why` says it */
} wg_reach;

/* Connects to the user's server if one listens; `token` is what HELLO has to carry. Never waits. */
wg_reach wg_line_open(wg_line *line, uint8_t token[32], wg_sentence *why);
void wg_line_close(wg_line *line);

typedef struct wg_memory wg_memory;

/* Sends everything, with `memory` as ancillary data where it is not NULL; false when the line is gone. */
bool wg_line_send(wg_line *line, const void *bytes, size_t count, const wg_memory *memory);

/* Receives what is there, waiting for it up to `milliseconds`: how many bytes, 0 for none, -1 when the line is gone. */
int wg_line_receive(wg_line *line, void *to, size_t room, int milliseconds);

/* -- memory that both sides map ----------------------------------------------------------------- */

struct wg_memory {
    void *base; /* NULL: none */
    size_t bytes;
    intptr_t handle;
    char name[64]; /* what MEMORY says; "" where the memory travels as a descriptor */
};

bool wg_memory_make(wg_memory *memory, size_t bytes);
void wg_memory_drop(wg_memory *memory);

/* -- starting a server -------------------------------------------------------------------------- */

typedef struct { intptr_t handle; } wg_child;

/* Starts `wetgate serve`, detached; false with a sentence when there is no such command. */
bool wg_start_server(wg_child *child, wg_sentence *why);

typedef enum {
    WG_CHILD_RUNS,       /* or nobody can tell */
    WG_CHILD_STOOD_BACK, /* ended with exit code 0: another server has the lock, or had it */
    WG_CHILD_FAILED,
} wg_child_state;

wg_child_state wg_child_look(wg_child *child); /* its end is told once */
void wg_child_forget(wg_child *child);

#endif
