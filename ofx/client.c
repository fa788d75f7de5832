#include "client.h"

#include <stdlib.h>
#include <string.h>

#include "platform.h"

#ifndef WETGATE_VERSION
#define WETGATE_VERSION "0"
#endif

enum {
    IDLE_MOST = 4,      /* connections kept */
    MODELS_MOST = 16,   /* models remembered */
    SLICE_MS = 15,      /* between two questions whether to stop */
    CANCELLED_MS = 60,  /* for an answer to CANCEL; then the connection is closed, which gives up as well */
};

static const size_t idle_bytes_most = (size_t)1 << 30;
static const size_t memory_most = (size_t)8 << 30;
static const double start_limit_s = 20, request_limit_s = 60, forever_s = 1e18, failure_kept_s = 3;

struct wg_link {
    wg_line line;
    wg_memory memory;
    uint32_t memory_number, last_request;
    unsigned server; /* which server, counted from the first: see shared.server */
    bool broken;     /* not to be used again */
    bool ended;      /* its server has ended, or says that it does */
    wg_link *next;
    uint8_t buffer[WG_MESSAGE_MOST]; /* a message sent, or the payload of the last one received */
};

typedef struct {
    char *path; /* NULL: a free place */
    wg_stamp stamp;
    wg_model model;
    wg_result result;
    wg_sentence why;
    double until; /* when a failure is no longer believed */
} known_model;

/* All that this process shares; only under the lock. */
static struct {
    wg_lock lock;
    wg_link *idle;
    unsigned server; /* raised when one is seen to end: connections of an earlier number lead nowhere */
    known_model models[MODELS_MOST];
    size_t next_model;
    wg_child child;        /* the last server that this process has started */
    bool is_starting;      /* it was not reached yet */
    double started;        /* when that was */
    double no_start_until; /* a start that failed is not tried again before */
    wg_sentence no_start;
    int64_t log_bytes;     /* of the server's log before the start */
} shared = {.lock = WG_LOCK_FREE, .child = {-1}};

static bool is_asked(wg_stop stop) { return stop.asked != NULL && stop.asked(stop.context); }

/* -- one message and its answer ----------------------------------------------------------------- */

static wg_result gone(wg_link *link, wg_sentence *why) {
    char log[WG_PATH_ROOM];
    link->broken = link->ended = true;
    wg_log_path(log, sizeof log);
    wg_say(why, "The inference server ended while it was at work; its log is %s.", log);
    return WG_GONE;
}

static wg_result broke_rules(wg_link *link, wg_sentence *why) {
    link->broken = true;
    wg_say(why, "The inference server answered what this node does not understand; are they of the same version?");
    return WG_FAILED;
}

static wg_result receive(wg_link *link, uint8_t *to, size_t count, double deadline, wg_stop stop, wg_sentence *why) {
    for (size_t have = 0; have < count;) {
        int got = wg_line_receive(&link->line, to + have, count - have, SLICE_MS);
        if (got < 0) {
            return gone(link, why);
        }
        have += (size_t)got;
        if (got == 0 && is_asked(stop)) {
            link->broken = link->broken || have > 0; /* in the middle of a message */
            return WG_STOPPED;
        }
        if (got == 0 && wg_now() > deadline) {
            link->broken = true;
            wg_say(why, "The inference server does not answer; stop it by `wetgate serve --stop` and try again.");
            return WG_FAILED;
        }
    }
    return WG_DONE;
}

static wg_result receive_message(wg_link *link, wg_header *header, double deadline, wg_stop stop, wg_sentence *why) {
    uint8_t bytes[WG_HEADER_BYTES];
    wg_result result = receive(link, bytes, sizeof bytes, deadline, stop, why);
    if (result != WG_DONE) {
        return result;
    }
    if (!wg_decode_header(bytes, header)) {
        return broke_rules(link, why);
    }
    result = receive(link, link->buffer, header->payload_bytes, deadline, stop, why);
    link->broken = link->broken || result == WG_STOPPED;
    return result;
}

static wg_result told(wg_link *link, size_t bytes, wg_sentence *why) {
    uint16_t code;
    if (!wg_decode_error(link->buffer, bytes, &code, why)) {
        return broke_rules(link, why);
    }
    switch (code) {
    case WG_ERROR_PROTOCOL:
    case WG_ERROR_REFUSED: link->broken = true; return WG_FAILED;
    case WG_ERROR_CLOSING: link->broken = link->ended = true; return WG_GONE;
    case WG_ERROR_WINDOW: return WG_WINDOW;
    default: return WG_FAILED;
    }
}

static wg_result send_message(wg_link *link, size_t bytes, const wg_memory *memory, wg_sentence *why) {
    if (bytes == 0) {
        wg_say(why, "The path of the model or of its curves is too long.");
        return WG_FAILED;
    }
    return wg_line_send(&link->line, link->buffer, bytes, memory) ? WG_DONE : gone(link, why);
}

/* Sends the message of `bytes` in the link's buffer; the answer of the wanted kind is there afterwards. */
static wg_result ask(wg_link *link, size_t bytes, const wg_memory *memory, uint16_t kind, size_t *payload_bytes,
                     double limit_s, wg_stop stop, wg_sentence *why) {
    wg_header header;
    wg_result result = send_message(link, bytes, memory, why);
    if (result == WG_DONE) {
        result = receive_message(link, &header, wg_now() + limit_s, stop, why);
    }
    if (result != WG_DONE) {
        return result;
    }
    bool for_all = header.kind == WG_KIND_ERROR && header.request == 0;
    if (header.request != link->last_request && !for_all) {
        return broke_rules(link, why);
    }
    if (header.kind == WG_KIND_ERROR) {
        return told(link, header.payload_bytes, why);
    }
    *payload_bytes = header.payload_bytes;
    return header.kind == kind ? WG_DONE : broke_rules(link, why);
}

static uint32_t new_request(wg_link *link) {
    link->last_request = link->last_request == UINT32_MAX ? 1 : link->last_request + 1;
    return link->last_request;
}

/* -- connecting --------------------------------------------------------------------------------- */

static void close_link(wg_link *link) {
    wg_line_close(&link->line);
    wg_memory_drop(&link->memory);
    free(link);
}

static wg_result greet(wg_link *link, const uint8_t token[WG_TOKEN_BYTES], double deadline, wg_stop stop,
                       wg_sentence *why) {
    size_t bytes = wg_encode_hello(link->buffer, wg_process(), token, "wetgate-ofx " WETGATE_VERSION), payload;
    link->last_request = 0;
    wg_result result = ask(link, bytes, NULL, WG_KIND_WELCOME, &payload, deadline - wg_now(), stop, why);
    uint16_t version;
    if (result == WG_DONE && (!wg_decode_welcome(link->buffer, payload, &version) || version != WG_VERSION_SPOKEN)) {
        return broke_rules(link, why);
    }
    return result;
}

static int64_t log_bytes(void) {
    char path[WG_PATH_ROOM];
    wg_stamp stamp;
    wg_log_path(path, sizeof path);
    return wg_stamp_of(path, &stamp) ? stamp.bytes : 0;
}

/* Says why a start came to nothing, by the log where that has a word on it; under the lock. */
static void say_no_start(const char *because, wg_sentence *why) {
    char line[512] = "";
    if (log_bytes() != shared.log_bytes) {
        wg_last_log_line(line, sizeof line);
    }
    wg_say(why, "The inference server %s%s%s", because, line[0] != 0 ? ". The last line of its log: " : ".", line);
}

/* Remembers for a while that no server can be started, so that not every frame waits for it; under the lock. */
static wg_result remember_no_start(const wg_sentence *why) {
    shared.no_start_until = wg_now() + failure_kept_s;
    shared.no_start = *why;
    return WG_FAILED;
}

/* Starts a server unless this process is already about it; under the lock. */
static wg_result start_once(wg_sentence *why) {
    double now = wg_now();
    if (shared.no_start_until > now) {
        *why = shared.no_start;
        return WG_FAILED;
    }
    if (shared.is_starting && now - shared.started < start_limit_s) {
        wg_child_state child = wg_child_look(&shared.child);
        if (child == WG_CHILD_RUNS) {
            return WG_DONE;
        }
        shared.is_starting = false;
        if (child == WG_CHILD_FAILED) {
            say_no_start("ended as soon as it was started", why);
            return remember_no_start(why);
        }
    } /* one that stood back is followed by another, for the server that it met may be ending */
    wg_child_forget(&shared.child);
    shared.log_bytes = log_bytes();
    shared.is_starting = wg_start_server(&shared.child, why);
    shared.started = now;
    return shared.is_starting ? WG_DONE : remember_no_start(why);
}

/* One try to reach a server: done, stopped, failed, or gone where it is worth another. */
static wg_result reach(wg_link *link, double deadline, wg_stop stop, wg_sentence *why) {
    uint8_t token[WG_TOKEN_BYTES];
    wg_result result = WG_GONE;
    wg_reach reached = wg_line_open(&link->line, token, why);
    if (reached == WG_NOT_OURS) {
        return WG_FAILED;
    }
    if (reached == WG_REACHED) {
        link->broken = link->ended = false;
        result = greet(link, token, deadline, stop, why);
        if (result != WG_DONE) {
            wg_line_close(&link->line);
        }
    }
    wg_acquire(&shared.lock);
    if (result == WG_DONE) {
        shared.is_starting = false;
        link->server = shared.server;
    } else if (reached == WG_NOBODY) {
        result = start_once(why) == WG_DONE ? WG_GONE : WG_FAILED;
    }
    wg_release(&shared.lock);
    return result;
}

static wg_result connect_link(wg_link *link, wg_stop stop, wg_sentence *why) {
    double deadline = wg_now() + start_limit_s;
    for (;;) {
        wg_result result = reach(link, deadline, stop, why);
        if (result != WG_GONE) {
            return result;
        }
        if (is_asked(stop)) {
            return WG_STOPPED;
        }
        if (wg_now() > deadline) {
            wg_acquire(&shared.lock);
            say_no_start("did not answer within 20 s of being started", why);
            remember_no_start(why);
            wg_release(&shared.lock);
            return WG_FAILED;
        }
        wg_sleep(SLICE_MS);
    }
}

/* -- the pool ----------------------------------------------------------------------------------- */

static wg_link *take_idle(void) {
    wg_acquire(&shared.lock);
    wg_link *link = shared.idle;
    if (link != NULL) {
        shared.idle = link->next;
    }
    wg_release(&shared.lock);
    return link;
}

wg_result wg_borrow(wg_link **borrowed, wg_stop stop, wg_sentence *why) {
    *borrowed = NULL;
    uint8_t unasked;
    for (wg_link *idle = take_idle(); idle != NULL; idle = take_idle()) {
        if (wg_line_receive(&idle->line, &unasked, 1, 0) == 0) {
            *borrowed = idle;
            return WG_DONE;
        }
        close_link(idle); /* its server has ended */
    }
    wg_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        wg_say(why, "There is no memory left.");
        return WG_FAILED;
    }
    link->line.socket = -1;
    wg_result result = connect_link(link, stop, why);
    if (result != WG_DONE) {
        close_link(link);
        return result;
    }
    *borrowed = link;
    return WG_DONE;
}

/* Takes what is too many off the list of idle connections, which is the oldest of them. */
static wg_link *too_many(void) {
    size_t count = 0, bytes = 0;
    for (wg_link **place = &shared.idle; *place != NULL; place = &(*place)->next) {
        count++;
        bytes += (*place)->memory.bytes;
        if (count > IDLE_MOST || (count > 1 && bytes > idle_bytes_most)) {
            wg_link *rest = *place;
            *place = NULL;
            return rest;
        }
    }
    return NULL;
}

static void close_all(wg_link *link) {
    while (link != NULL) {
        wg_link *next = link->next;
        close_link(link);
        link = next;
    }
}

void wg_give_back(wg_link *link) {
    wg_link *rest = NULL;
    wg_acquire(&shared.lock);
    bool latest = link->server == shared.server;
    if (latest && link->ended) {
        shared.server++;
        rest = shared.idle;
        shared.idle = NULL;
    } else if (latest && !link->broken) {
        link->next = shared.idle;
        shared.idle = link;
        rest = too_many();
        link = NULL;
    }
    wg_release(&shared.lock);
    close_all(rest);
    if (link != NULL) {
        close_link(link);
    }
}

/* -- memory and frames -------------------------------------------------------------------------- */

wg_result wg_link_memory(wg_link *link, size_t bytes, unsigned char **base, wg_stop stop, wg_sentence *why) {
    wg_result result = WG_DONE;
    size_t payload;
    if (link->memory.base != NULL && link->memory.bytes < bytes) {
        size_t forget = wg_encode_forget(link->buffer, new_request(link), link->memory_number);
        result = ask(link, forget, NULL, WG_KIND_DONE, &payload, request_limit_s, stop, why);
        wg_memory_drop(&link->memory);
    }
    if (result == WG_DONE && link->memory.base == NULL) {
        const size_t grain = (size_t)1 << 16;
        size_t whole = (bytes + grain - 1) / grain * grain;
        if (bytes > memory_most || !wg_memory_make(&link->memory, whole)) {
            wg_say(why, "There is no memory for a frame of this size (%zu MiB with its neighbours).", bytes >> 20);
            return WG_FAILED;
        }
        link->memory_number++;
        size_t message = wg_encode_memory(link->buffer, new_request(link), link->memory_number, whole, link->memory.name);
        result = ask(link, message, &link->memory, WG_KIND_DONE, &payload, request_limit_s, stop, why);
    }
    link->broken = link->broken || result != WG_DONE; /* what the server knows of this memory is uncertain */
    *base = link->memory.base;
    return result;
}

static void cancel(wg_link *link) {
    static const wg_stop nothing = {NULL, NULL};
    wg_sentence why;
    wg_header header;
    uint32_t given_up = link->last_request;
    size_t bytes = wg_encode_cancel(link->buffer, new_request(link), given_up);
    double deadline = wg_now() + 1e-3 * CANCELLED_MS;
    link->broken = link->broken || send_message(link, bytes, NULL, &why) != WG_DONE
                   || receive_message(link, &header, deadline, nothing, &why) != WG_DONE || header.request != given_up;
}

wg_result wg_link_render(wg_link *link, wg_render *render, wg_restored *restored, wg_stop stop, wg_sentence *why) {
    size_t payload;
    render->memory = link->memory_number;
    size_t bytes = wg_encode_render(link->buffer, new_request(link), render);
    wg_result result = ask(link, bytes, NULL, WG_KIND_RESTORED, &payload, forever_s, stop, why);
    if (result == WG_STOPPED && !link->broken) {
        cancel(link);
    }
    if (result == WG_DONE && !wg_decode_restored(link->buffer, payload, restored)) {
        return broke_rules(link, why);
    }
    return result;
}

/* -- models ------------------------------------------------------------------------------------- */

static bool is_same(wg_stamp a, wg_stamp b) { return a.modified == b.modified && a.bytes == b.bytes; }

static known_model *find_model(const char *path) {
    for (size_t i = 0; i < MODELS_MOST; i++) {
        if (shared.models[i].path != NULL && strcmp(shared.models[i].path, path) == 0) {
            return &shared.models[i];
        }
    }
    return NULL;
}

static void forget_model(known_model *known) {
    if (known != NULL) {
        free(known->path);
        known->path = NULL;
    }
}

/* Keeps an answer; failures for a moment only, so that a node's many questions do not ask a server each time. */
static void keep_model(const char *path, wg_stamp stamp, const wg_model *model, wg_result result, const wg_sentence *why) {
    char *own = malloc(strlen(path) + 1);
    if (own == NULL) {
        return;
    }
    strcpy(own, path);
    wg_acquire(&shared.lock);
    forget_model(find_model(path));
    known_model *place = &shared.models[shared.next_model++ % MODELS_MOST];
    forget_model(place);
    *place = (known_model){own, stamp, *model, result, *why, wg_now() + failure_kept_s};
    wg_release(&shared.lock);
}

static bool is_known(const char *path, wg_stamp stamp, wg_model *model, wg_result *result, wg_sentence *why) {
    wg_acquire(&shared.lock);
    const known_model *known = find_model(path);
    bool fresh = known != NULL && is_same(known->stamp, stamp) && (known->result == WG_DONE || wg_now() < known->until);
    if (fresh) {
        *model = known->model;
        *result = known->result;
        *why = known->why;
    }
    wg_release(&shared.lock);
    return fresh;
}

static wg_result describe_once(const char *path, wg_stop stop, wg_model *model, wg_sentence *why) {
    wg_link *link;
    size_t payload;
    wg_result result = wg_borrow(&link, stop, why);
    if (result != WG_DONE) {
        return result;
    }
    size_t bytes = wg_encode_describe(link->buffer, new_request(link), path);
    result = ask(link, bytes, NULL, WG_KIND_MODEL, &payload, request_limit_s, stop, why);
    if (result == WG_DONE && !wg_decode_model(link->buffer, payload, model)) {
        result = broke_rules(link, why);
    }
    link->broken = link->broken || result == WG_STOPPED; /* an answer may still come */
    wg_give_back(link);
    return result;
}

wg_result wg_describe(const char *path, wg_stop stop, wg_model *model, wg_sentence *why) {
    wg_stamp stamp;
    wg_result result;
    memset(model, 0, sizeof *model);
    if (!wg_is_absolute(path)) {
        wg_say(why, "Give the model's whole path: %s is a relative one.", path);
        return WG_FAILED;
    }
    if (!wg_stamp_of(path, &stamp)) {
        wg_say(why, "There is no model %s.", path);
        return WG_FAILED;
    }
    if (is_known(path, stamp, model, &result, why)) {
        return result;
    }
    result = describe_once(path, stop, model, why);
    if (result == WG_GONE) {
        result = describe_once(path, stop, model, why);
    }
    if (result == WG_DONE && 2 * model->radius + 1 > WG_WINDOW_MOST) {
        wg_say(why, "The model %s looks at %d frames for each; this node holds %d at most.", path,
               2 * model->radius + 1, (int)WG_WINDOW_MOST);
        result = WG_FAILED;
    }
    if (result == WG_DONE || result == WG_FAILED) {
        keep_model(path, stamp, model, result, why);
    }
    return result;
}

void wg_describe_anew(const char *path) {
    wg_acquire(&shared.lock);
    forget_model(find_model(path));
    shared.no_start_until = 0;
    wg_release(&shared.lock);
}

void wg_client_end(void) {
    wg_acquire(&shared.lock);
    wg_link *idle = shared.idle;
    shared.idle = NULL;
    for (size_t i = 0; i < MODELS_MOST; i++) {
        forget_model(&shared.models[i]);
    }
    wg_child_forget(&shared.child);
    shared.is_starting = false;
    shared.no_start_until = 0;
    wg_release(&shared.lock);
    close_all(idle);
}
