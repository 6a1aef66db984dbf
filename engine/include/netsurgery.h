/* The engine of netsurgery: loads an .nsm file and runs it. C, no dependency.
 *
 *     ns_session* net = NULL;
 *     if (ns_load_path("model.nsm", NULL, &net) != NS_OK) { puts(ns_last_error()); return 1; }
 *     ns_run(net, 1, inputs, outputs);
 *     ns_free(net);
 *
 * A session is for one thread at a time; any number of sessions may be used by as many threads. Arrays are float32 in
 * row-major order. Every function that returns a status leaves a sentence in ns_last_error() when it fails, and nothing
 * is half done then. */
#ifndef NETSURGERY_H
#define NETSURGERY_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define NS_API
#else
#define NS_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ns_status {
  NS_OK = 0,
  NS_ERROR_ARGUMENT = 1,     /* a null pointer, an index or number outside its range */
  NS_ERROR_UNREADABLE = 2,   /* the operating system can't read the path */
  NS_ERROR_FILE = 3,         /* damaged, or no .nsm file */
  NS_ERROR_VERSION = 4,      /* a version of the format that this engine doesn't read */
  NS_ERROR_LIMIT = 5,        /* the file asks for more than the limits grant */
  NS_ERROR_INPUT = 6,        /* the network can't run at this batch size */
  NS_ERROR_MEMORY = 7,       /* out of memory */
  NS_ERROR_INSTRUCTIONS = 8, /* NETSURGERY_ISA names a set that is unknown or that this machine lacks */
  NS_ERROR_INTERNAL = 9      /* a defect of the engine: please report it */
} ns_status;

typedef struct ns_session ns_session;

/* NULL in the place of options, or a field that is 0, means the default. */
typedef struct ns_options {
  int threads;            /* 1 .. 256; default: one for each core that the process may use */
  int64_t elements;       /* entries of all constants together that a file may declare */
  int64_t value_elements; /* entries of any one value at batch 1 */
} ns_options;

#define NS_MOST_AXES 8

/* A shape; a size of -1, possible in the first place, is the batch. */
typedef struct ns_shape {
  int rank;
  int64_t sizes[NS_MOST_AXES];
} ns_shape;

/* The bytes are copied where needed; the caller keeps them. */
NS_API ns_status ns_load(const void* bytes, size_t size, const ns_options* options, ns_session** session);
NS_API ns_status ns_load_path(const char* path, const ns_options* options, ns_session** session);
NS_API void ns_free(ns_session* session); /* NULL is fine */

NS_API int ns_input_count(const ns_session* session);
NS_API int ns_output_count(const ns_session* session);
/* Names live as long as the session; NULL for an index outside the range. */
NS_API const char* ns_input_name(const ns_session* session, int index);
NS_API const char* ns_output_name(const ns_session* session, int index);
NS_API ns_status ns_input_shape(const ns_session* session, int index, ns_shape* shape);
/* The shape of an output for inputs of this batch size. */
NS_API ns_status ns_output_shape(ns_session* session, int64_t batch, int index, ns_shape* shape);

NS_API ns_status ns_set_threads(ns_session* session, int threads);
NS_API int ns_threads(const ns_session* session);

/* Plan memory for a batch size, so that the first run at it takes no longer than the others. Optional. */
NS_API ns_status ns_prepare(ns_session* session, int64_t batch);
/* inputs[i], outputs[i]: float arrays of the shapes above, none of which overlap. batch is ignored where no input
 * leaves it open. Once a batch size has been prepared (or run), running it again allocates nothing. */
NS_API ns_status ns_run(ns_session* session, int64_t batch, const float* const* inputs, float* const* outputs);

/* Why the last call in this thread failed. Never NULL. */
NS_API const char* ns_last_error(void);
/* The instruction set in use: "avx512", "avx2", "neon" or "portable". NETSURGERY_ISA in the environment forces one;
 * NULL, with a sentence in ns_last_error(), if it names one that this machine doesn't run. */
NS_API const char* ns_instructions(void);
NS_API const char* ns_version(void);

#ifdef __cplusplus
}
#endif

#endif
