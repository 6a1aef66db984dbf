/* Runs a packed network on one image: scores, the best of them, and microseconds.
 *
 *     cmake -S . -B build/library && cmake --build build/library
 *     cc -O2 examples/c/run_lenet.c -Iengine/include -Lbuild/library -lnetsurgery -Wl,-rpath,build/library -o run_lenet
 *     ./run_lenet model.nsm [image.f32]
 *
 * image.f32: the image's numbers as float32, nothing else. Without it, a ramp from 0 to 1. */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "netsurgery.h"

enum { RUNS = 1000 };

static double times[RUNS];

static size_t entries(const ns_shape* shape) {
  size_t product = 1;
  for (int axis = 0; axis < shape->rank; ++axis)
    if (shape->sizes[axis] > 0) product *= (size_t)shape->sizes[axis]; /* -1 is the batch, which is 1 here */
  return product;
}

/* The image from a file or, without one, a ramp. 1 if all went well; otherwise the reason has been printed. */
static int fill(float* image, size_t count, const char* path) {
  if (!path) {
    for (size_t i = 0; i < count; ++i) image[i] = (float)i / (float)count;
    return 1;
  }
  FILE* file = fopen(path, "rb");
  if (!file) {
    perror(path);
    return 0;
  }
  const int whole = fread(image, sizeof *image, count, file) == count && fgetc(file) == EOF;
  fclose(file);
  if (!whole) fprintf(stderr, "%s doesn't hold %zu float32 numbers, which the network takes\n", path, count);
  return whole;
}

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
}

static int by_size(const void* one, const void* other) {
  const double a = *(const double*)one, b = *(const double*)other;
  return (a > b) - (a < b);
}

/* 1 if all went well; otherwise the reason has been printed. */
static int run(ns_session* network, const char* image_path) {
  if (ns_input_count(network) != 1 || ns_output_count(network) != 1) {
    fprintf(stderr, "a network of one input and one output is needed\n");
    return 0;
  }
  const int64_t batch = 1;
  ns_shape image_shape, scores_shape;
  if (ns_input_shape(network, 0, &image_shape) != NS_OK || ns_output_shape(network, &batch, 0, &scores_shape) != NS_OK) {
    fprintf(stderr, "%s\n", ns_last_error());
    return 0;
  }
  const size_t image_size = entries(&image_shape), scores_size = entries(&scores_shape);
  float* image = malloc(image_size * sizeof *image);
  float* scores = malloc(scores_size * sizeof *scores);
  int done = 0;
  if (!image || !scores) {
    fprintf(stderr, "out of memory\n");
  } else if (fill(image, image_size, image_path)) {
    const void* const inputs[] = {image};
    void* const outputs[] = {scores};
    done = 1;
    for (int i = 0; i < RUNS && done; ++i) {
      const double start = now_us();
      done = ns_run(network, &batch, inputs, outputs) == NS_OK;
      times[i] = now_us() - start;
    }
    if (!done) fprintf(stderr, "%s\n", ns_last_error());
  }
  if (done) {
    size_t best = 0;
    for (size_t i = 0; i < scores_size; ++i) {
      printf("%zu %.9g\n", i, (double)scores[i]);
      if (scores[i] > scores[best]) best = i;
    }
    qsort(times, RUNS, sizeof *times, by_size);
    printf("best %zu, %.2f us (median of %d runs, %s)\n", best, times[RUNS / 2], RUNS, ns_instructions());
  }
  free(image);
  free(scores);
  return done;
}

int main(int count, char** arguments) {
  if (count < 2 || count > 3) {
    fprintf(stderr, "usage: %s model.nsm [image.f32]\n", arguments[0]);
    return EXIT_FAILURE;
  }
  const ns_options options = {.threads = 1};
  ns_session* network = NULL;
  if (ns_load_path(arguments[1], &options, &network) != NS_OK) {
    fprintf(stderr, "%s\n", ns_last_error());
    return EXIT_FAILURE;
  }
  const int done = run(network, count == 3 ? arguments[2] : NULL);
  ns_free(network);
  return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
