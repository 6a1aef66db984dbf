/* The engine of netsurgery: loads an .nsm file and runs it. C, no dependency.
 *
 *     ns_session* net = NULL;
 *     if (ns_load_path("model.nsm", NULL, &net) != NS_OK) { puts(ns_last_error()); return 1; }
 *     int64_t batch = 1;
 *     ns_run(net, &batch, inputs, outputs);
 *     ns_free(net);
 *
 * A session is for one thread at a time; any number of sessions may be used by as many threads. Arrays are in row-major
 * order. Entries are float32 where ns_input_type and ns_output_type don't say otherwise. Every function that returns a
 * status leaves a sentence in ns_last_error() when it fails, and nothing is half done then; but where an index that the
 * network itself computes turns out to be no place, outputs hold numbers that mean nothing. */
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
  NS_ERROR_INPUT = 6,        /* the network can't run at these sizes, or an index is no place where it is looked up */
  NS_ERROR_MEMORY = 7,       /* out of memory */
  NS_ERROR_INSTRUCTIONS = 8, /* NETSURGERY_ISA or NETSURGERY_FIXED names what is unknown or what this machine lacks */
  NS_ERROR_INTERNAL = 9      /* a defect of the engine: please report it */
} ns_status;

typedef struct ns_session ns_session;

/* NULL in the place of options, or a field that is 0, means the default. */
typedef struct ns_options {
  int threads;            /* 1 .. 256; default: one for each core that the process may use */
  int64_t elements;       /* entries of all constants together that a file may declare */
  int64_t value_elements; /* entries of any one value, at the smallest sizes of open axes */
} ns_options;

#define NS_HIGHEST_RANK 8
#define NS_MOST_OPEN_AXES 8

/* A shape. In that of an input a size below 0 is open: the caller chooses it for each run. -1 is open axis number 0, -2
 * number 1, and so on; where a number stands twice, the sizes are the same. */
typedef struct ns_shape {
  int rank;
  int64_t sizes[NS_HIGHEST_RANK];
} ns_shape;

/* The type of an array's entries. A bool is a byte, 0 or 1. */
typedef enum ns_value_type { NS_FLOAT32 = 0, NS_INT32 = 1, NS_INT64 = 2, NS_BOOL = 3 } ns_value_type;

/* The session keeps a copy of the bytes, which it may read again for other sizes; the caller keeps its own. */
NS_API ns_status ns_load(const void* bytes, size_t size, const ns_options* options, ns_session** session);
NS_API ns_status ns_load_path(const char* path, const ns_options* options, ns_session** session);
NS_API void ns_free(ns_session* session); /* NULL is fine */

NS_API int ns_input_count(const ns_session* session);
NS_API int ns_output_count(const ns_session* session);
/* Names live as long as the session; NULL for an index outside the range. */
NS_API const char* ns_input_name(const ns_session* session, int index);
NS_API const char* ns_output_name(const ns_session* session, int index);
NS_API ns_status ns_input_shape(const ns_session* session, int index, ns_shape* shape);
NS_API ns_status ns_input_type(const ns_session* session, int index, ns_value_type* type);
NS_API ns_status ns_output_type(const ns_session* session, int index, ns_value_type* type);
/* Open axes: most networks have one, the batch. */
NS_API int ns_axis_count(const ns_session* session);
NS_API const char* ns_axis_name(const ns_session* session, int index);
/* Which sizes an axis takes: from the least on, multiples of the step. 0 for an index outside the range. */
NS_API int64_t ns_axis_least(const ns_session* session, int index);
NS_API int64_t ns_axis_step(const ns_session* session, int index);
/* In what follows, `sizes` are those of the open axes, in order of their numbers; NULL is fine where there are none. */
NS_API ns_status ns_output_shape(ns_session* session, const int64_t* sizes, int index, ns_shape* shape);
/* Where a run decides how many entries an output has: the output that says how many, as one int64, and the axis along
 * which they lie (NULL is fine). Of the array, which has the shape above, the entries behind those mean nothing. The
 * number may be larger than that axis, which means all; one below 0 is that many less than all, and never less than
 * none. -1 for any other output, and for an index outside the range. */
NS_API int ns_output_entries(const ns_session* session, int index, int* axis);

NS_API ns_status ns_set_threads(ns_session* session, int threads);
NS_API int ns_threads(const ns_session* session);

/* Plan memory for sizes, so that the first run at them takes no longer than the others. Optional. */
NS_API ns_status ns_prepare(ns_session* session, const int64_t* sizes);
/* inputs[i], outputs[i]: arrays of the types and shapes above, aligned for their entries, none of which overlap. Once
 * sizes have been prepared (or run), running at them again allocates nothing. */
NS_API ns_status ns_run(ns_session* session, const int64_t* sizes, const void* const* inputs, void* const* outputs);

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
