/* Requests to the inference server, over connections that all instances of the node in this process share.
 *
 * A connection serves one thread at a time. Whoever borrows one gives it back; a few idle ones are kept with their
 * memory, so that a frame costs neither a connection nor fresh pages.
 */
#ifndef WETGATE_CLIENT_H
#define WETGATE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol.h"
#include "sentence.h"

typedef enum {
    WG_DONE,
    WG_STOPPED, /* `stop` said so */
    WG_FAILED,  /* the sentence says why */
    WG_WINDOW,  /* the model looks at another number of frames than it was given: describe it again */
    WG_GONE,    /* the server ended meanwhile: worth one more try with a new one */
} wg_result;

/* Asked at least every 20 ms while something is waited for. `asked` may be NULL: nothing stops it. */
typedef struct { bool (*asked)(void *context); void *context; } wg_stop;

typedef struct wg_link wg_link;

/* What the server says about a model's file; kept until the file changes, so that asking again costs nothing. */
wg_result wg_describe(const char *path, wg_stop stop, wg_model *model, wg_sentence *why);

/* Forgets what is kept about this model, and that a server could not be started. */
void wg_describe_anew(const char *path);

/* A connection; a server is started where none lives, which may take up to 20 s. */
wg_result wg_borrow(wg_link **link, wg_stop stop, wg_sentence *why);
void wg_give_back(wg_link *link);

/* Memory of at least `bytes`, mapped by both sides until the link is given back; what was in it is lost. */
wg_result wg_link_memory(wg_link *link, size_t bytes, unsigned char **base, wg_stop stop, wg_sentence *why);

/* Restores a frame in the link's memory; `render->memory` is filled in. */
wg_result wg_link_render(wg_link *link, wg_render *render, wg_restored *restored, wg_stop stop, wg_sentence *why);

/* Closes idle connections and forgets models: at the end of the node's life in this process. */
void wg_client_end(void);

#endif
