// netsurgery.h over the engine's own classes. No exception leaves it, and what is given is checked before it is used.
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.hpp"
#include "file/reader.hpp"
#include "isa/instructions.hpp"
#include "netsurgery.h"
#include "session/session.hpp"

struct ns_session {
  ns_session(std::vector<std::uint8_t> bytes, const netsurgery::Limits& limits,
             const netsurgery::SessionOptions& options)
      : content(std::move(bytes)),
        session(netsurgery::read_graph(content.data(), content.size(), limits), options,
                [this, limits] { return netsurgery::read_constants(content.data(), content.size(), limits); }) {}

  const std::vector<std::uint8_t> content;  // which the session may read again
  netsurgery::Session session;
};

namespace {

using namespace netsurgery;

constexpr int kMostThreads = 256;

// No string: the sentence about memory that has run out needs memory that is there already.
thread_local char last_error[1024] = "";

ns_status failed(ns_status status, const char* sentence) noexcept {
  std::size_t length = std::strlen(sentence);
  if (length >= sizeof last_error) {
    length = sizeof last_error - 1;
    while (length > 0 && (sentence[length] & 0xC0) == 0x80) --length;  // whole UTF-8 characters
  }
  std::memcpy(last_error, sentence, length);
  last_error[length] = '\0';
  return status;
}

template <class Work>
ns_status guarded(const Work& work) noexcept {
  try {
    work();
    return NS_OK;
  } catch (const Error& error) {
    return failed(error.status(), error.what());
  } catch (const std::bad_alloc&) {
    return failed(NS_ERROR_MEMORY, "out of memory.");
  } catch (const std::length_error&) {  // what vectors say of sizes beyond all memory
    return failed(NS_ERROR_MEMORY, "out of memory: an array would be larger than any can be.");
  } catch (const std::exception& error) {
    return failed(NS_ERROR_INTERNAL, error.what());
  } catch (...) {
    return failed(NS_ERROR_INTERNAL, "an unknown exception");
  }
}

void require(bool condition, const std::string& sentence) {
  if (!condition) throw Error(NS_ERROR_ARGUMENT, sentence);
}

void require_given(const void* pointer, const char* name) {
  if (!pointer) throw Error(NS_ERROR_ARGUMENT, std::string(name) + " is NULL.");
}

void require_place(int index, std::size_t count, const char* what) {
  if (index < 0 || static_cast<std::size_t>(index) >= count)
    throw Error(NS_ERROR_ARGUMENT, "there is no " + std::string(what) + " " + std::to_string(index) +
                                       ": the network has " + std::to_string(count) + ", numbered from 0.");
}

void require_threads(int threads, int least) {
  require(threads >= least && threads <= kMostThreads,
          "threads is " + std::to_string(threads) + "; 1 to " + std::to_string(kMostThreads) + " are allowed" +
              (least == 0 ? ", or 0 for one on each core that the process may use." : "."));
}

struct CheckedOptions {
  SessionOptions session;
  Limits limits;
};

CheckedOptions checked(const ns_options* options) {
  CheckedOptions result;
  if (!options) return result;
  require_threads(options->threads, 0);
  require(options->elements >= 0, "elements is " + std::to_string(options->elements) + "; it can't be negative.");
  require(options->value_elements >= 0,
          "value_elements is " + std::to_string(options->value_elements) + "; it can't be negative.");
  result.session.threads = options->threads;
  result.limits.elements = options->elements;
  if (options->value_elements > 0) result.limits.value_elements = options->value_elements;
  return result;
}

[[noreturn]] void refuse_unreadable(const char* path) {
  const int reason = errno;
  throw Error(NS_ERROR_UNREADABLE,
              std::string(path) + " can't be read: " + std::generic_category().message(reason) + ".");
}

std::vector<std::uint8_t> content_of(const char* path) {
  constexpr std::size_t kPiece = 1 << 16;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "rb"), std::fclose);
  if (!file) refuse_unreadable(path);
  std::vector<std::uint8_t> content;
  for (;;) {
    const std::size_t before = content.size();
    content.resize(before + kPiece);
    const std::size_t read = std::fread(content.data() + before, 1, kPiece, file.get());
    if (std::ferror(file.get())) refuse_unreadable(path);
    content.resize(before + read);
    if (read < kPiece) return content;
  }
}

ns_session* loaded(std::vector<std::uint8_t> content, const CheckedOptions& options) {
  return new ns_session(std::move(content), options.limits, options.session);
}

Sizes sizes_of(const ns_session& session, const std::int64_t* sizes) {
  const std::size_t count = session.session.graph().axes.size();
  Sizes result{};
  if (count > 0) require_given(sizes, "sizes");
  for (std::size_t axis = 0; axis < count; ++axis) result[axis] = sizes[axis];
  return result;
}

void fill(ns_shape* shape, const Shape& sizes) {
  *shape = ns_shape{};
  shape->rank = static_cast<int>(sizes.size());
  for (std::size_t axis = 0; axis < sizes.size() && axis < NS_HIGHEST_RANK; ++axis) shape->sizes[axis] = sizes[axis];
}

}  // namespace

ns_status ns_load(const void* bytes, size_t size, const ns_options* options, ns_session** session) {
  if (session) *session = nullptr;
  return guarded([&] {
    require_given(session, "session");
    require_given(bytes, "bytes");
    const CheckedOptions how = checked(options);
    const auto* const first = static_cast<const std::uint8_t*>(bytes);
    *session = loaded(std::vector<std::uint8_t>(first, first + size), how);
  });
}

ns_status ns_load_path(const char* path, const ns_options* options, ns_session** session) {
  if (session) *session = nullptr;
  return guarded([&] {
    require_given(session, "session");
    require_given(path, "path");
    const CheckedOptions how = checked(options);
    std::vector<std::uint8_t> content = content_of(path);
    try {
      *session = loaded(std::move(content), how);
    } catch (const Error& error) {
      if (error.status() == NS_ERROR_INSTRUCTIONS) throw;  // not the file's fault
      throw Error(error.status(), std::string(path) + ": " + error.what());
    }
  });
}

void ns_free(ns_session* session) { delete session; }

int ns_input_count(const ns_session* session) {
  return session ? static_cast<int>(session->session.graph().inputs.size()) : 0;
}

int ns_output_count(const ns_session* session) {
  return session ? static_cast<int>(session->session.graph().outputs.size()) : 0;
}

const char* ns_input_name(const ns_session* session, int index) {
  if (index < 0 || index >= ns_input_count(session)) return nullptr;
  return session->session.graph().inputs[static_cast<std::size_t>(index)].name.c_str();
}

const char* ns_output_name(const ns_session* session, int index) {
  if (index < 0 || index >= ns_output_count(session)) return nullptr;
  return session->session.graph().output_names[static_cast<std::size_t>(index)].c_str();
}

ns_status ns_input_shape(const ns_session* session, int index, ns_shape* shape) {
  return guarded([&] {
    require_given(session, "session");
    require_given(shape, "shape");
    const std::vector<Input>& inputs = session->session.graph().inputs;
    require_place(index, inputs.size(), "input");
    fill(shape, inputs[static_cast<std::size_t>(index)].shape);
  });
}

ns_status ns_input_type(const ns_session* session, int index, ns_value_type* type) {
  return guarded([&] {
    require_given(session, "session");
    require_given(type, "type");
    const std::vector<Input>& inputs = session->session.graph().inputs;
    require_place(index, inputs.size(), "input");
    *type = static_cast<ns_value_type>(inputs[static_cast<std::size_t>(index)].type);
  });
}

ns_status ns_output_type(const ns_session* session, int index, ns_value_type* type) {
  return guarded([&] {
    require_given(session, "session");
    require_given(type, "type");
    const Graph& graph = session->session.graph();
    require_place(index, graph.outputs.size(), "output");
    *type = static_cast<ns_value_type>(graph.type(graph.outputs[static_cast<std::size_t>(index)]));
  });
}

int ns_axis_count(const ns_session* session) {
  return session ? static_cast<int>(session->session.graph().axes.size()) : 0;
}

const char* ns_axis_name(const ns_session* session, int index) {
  if (index < 0 || index >= ns_axis_count(session)) return nullptr;
  return session->session.graph().axes[static_cast<std::size_t>(index)].name.c_str();
}

int64_t ns_axis_least(const ns_session* session, int index) {
  if (index < 0 || index >= ns_axis_count(session)) return 0;
  return session->session.graph().axes[static_cast<std::size_t>(index)].least;
}

int64_t ns_axis_step(const ns_session* session, int index) {
  if (index < 0 || index >= ns_axis_count(session)) return 0;
  return session->session.graph().axes[static_cast<std::size_t>(index)].step;
}

int ns_output_entries(const ns_session* session, int index, int* axis) {
  if (index < 0 || index >= ns_output_count(session)) return -1;
  for (const FoundEntries& found : session->session.graph().found()) {
    if (found.output != static_cast<std::size_t>(index)) continue;
    if (axis) *axis = static_cast<int>(found.axis);
    return static_cast<int>(found.count);
  }
  return -1;
}

ns_status ns_output_shape(ns_session* session, const int64_t* sizes, int index, ns_shape* shape) {
  return guarded([&] {
    require_given(session, "session");
    require_given(shape, "shape");
    require_place(index, session->session.graph().outputs.size(), "output");
    fill(shape, session->session.output_shapes(sizes_of(*session, sizes))[static_cast<std::size_t>(index)]);
  });
}

ns_status ns_set_threads(ns_session* session, int threads) {
  return guarded([&] {
    require_given(session, "session");
    require_threads(threads, 1);
    session->session.set_threads(threads);
  });
}

int ns_threads(const ns_session* session) { return session ? session->session.threads() : 0; }

ns_status ns_prepare(ns_session* session, const int64_t* sizes) {
  return guarded([&] {
    require_given(session, "session");
    session->session.prepare(sizes_of(*session, sizes));
  });
}

ns_status ns_run(ns_session* session, const int64_t* sizes, const void* const* inputs, void* const* outputs) {
  return guarded([&] {
    require_given(session, "session");
    require_given(inputs, "inputs");
    require_given(outputs, "outputs");
    for (int i = 0; i < ns_input_count(session); ++i) require_given(inputs[i], "an array of inputs");
    for (int i = 0; i < ns_output_count(session); ++i) require_given(outputs[i], "an array of outputs");
    session->session.run(sizes_of(*session, sizes), inputs, outputs);
  });
}

const char* ns_last_error(void) { return last_error; }

const char* ns_instructions(void) {
  const char* result = nullptr;
  guarded([&] { result = name(chosen()); });
  return result;
}

const char* ns_version(void) { return NETSURGERY_VERSION; }
