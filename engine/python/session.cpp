// A session for Python: netsurgery.Session holds one. What it doesn't take at once it leaves to Python, which converts
// arrays or says what is wrong with them; so the usual call costs a fraction of a microsecond beside the network.
#include "session/session.hpp"

#include <nanobind/nanobind.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "file/reader.hpp"

namespace nb = nanobind;
using namespace netsurgery;

namespace {

// Below this, other Python threads gain less by running meanwhile than this one loses by waiting for its turn again.
constexpr double kKeepLockBelow = 100000;  // cycles of a run: some 30 microseconds

/// A number of things, in place if there are few.
template <class T>
class Few {
 public:
  explicit Few(std::size_t count) : more_(count > kInPlace ? std::make_unique<T[]>(count) : nullptr) {}
  T* data() { return more_ ? more_.get() : in_place_; }
  T& operator[](std::size_t index) { return data()[index]; }

 private:
  static constexpr std::size_t kInPlace = 2;
  T in_place_[kInPlace] = {};
  std::unique_ptr<T[]> more_;
};

/// The memory of an array, through the buffer protocol.
class View {
 public:
  View() = default;
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  ~View() {
    if (buffer_.obj) PyBuffer_Release(&buffer_);
  }

  /// False if the object has no such memory.
  bool take(nb::handle object, int flags) {
    if (PyObject_GetBuffer(object.ptr(), &buffer_, flags) == 0) return true;
    PyErr_Clear();
    return false;
  }
  /// Floats of the machine's own kind, where floats may lie. Needs PyBUF_FORMAT.
  bool holds_floats() const {
    return buffer_.format && std::strcmp(buffer_.format, "f") == 0 &&
           reinterpret_cast<std::uintptr_t>(buffer_.buf) % alignof(float) == 0;
  }
  /// Whether this is the shape. The first open batch says what `batch` is, which is 0 before. Needs PyBUF_ND.
  bool fits(const Shape& shape, Size& batch) const {
    if (static_cast<std::size_t>(buffer_.ndim) != shape.size()) return false;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      const Size size = buffer_.shape[axis];
      if (shape[axis] == kOpenBatch && batch == 0) batch = size;
      if (size < 1 || size != (shape[axis] == kOpenBatch ? batch : shape[axis])) return false;
    }
    return true;
  }
  float* floats() const { return static_cast<float*>(buffer_.buf); }

 private:
  Py_buffer buffer_{};
};

/// How often this process has come out of a fork.
std::atomic<std::uint64_t> forks{0};

void notice_forks() {
#if defined(__unix__) || defined(__APPLE__)
  static const int registered = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
  if (registered != 0) throw std::bad_alloc();
#endif
}

nb::str text(const std::string& given) { return nb::str(given.data(), given.size()); }

nb::tuple tuple_of(const Shape& shape) {
  nb::list sizes;
  for (const Size size : shape) sizes.append(size == kOpenBatch ? nb::none() : nb::object(nb::int_(size)));
  return nb::tuple(sizes);
}

class PySession {
 public:
  PySession(const nb::bytes& content, int threads, Size elements, Size value_elements, bool plain_only) {
    const auto* bytes = static_cast<const std::uint8_t*>(content.data());
    const std::size_t size = content.size();
    notice_forks();
    SessionOptions options;
    options.threads = threads;
    options.plain_only = plain_only;
    {
      nb::gil_scoped_release release;
      session_ = std::make_unique<Session>(read_graph(bytes, size, Limits{elements, value_elements}), options);
    }
    const nb::module_ numpy = nb::module_::import_("numpy");
    empty_ = numpy.attr("empty");
    float32_ = numpy.attr("dtype")("float32");
  }
  ~PySession() {
    if (is_torn()) static_cast<void>(session_.release());  // can't even be destroyed
  }
  PySession(const PySession&) = delete;
  PySession& operator=(const PySession&) = delete;

  nb::tuple inputs() const {
    nb::list result;
    for (const Input& input : graph().inputs) result.append(nb::make_tuple(text(input.name), tuple_of(input.shape)));
    return nb::tuple(result);
  }
  nb::tuple output_names() const {
    nb::list names;
    for (const std::string& name : graph().output_names) names.append(text(name));
    return nb::tuple(names);
  }
  int threads() const { return session_->threads(); }
  void prepare(Size batch) { prepared(graph().dynamic_batch() ? batch : 1); }

  nb::object outputs_for(const nb::tuple& arrays) {
    return outputs_by(arrays, [this](const Prepared& how, Size batch, const float* const* inputs,
                                     float* const* outputs) { run(how, batch, inputs, outputs); });
  }

  /// (node, kind, microseconds, multiply-adds) of each step; None for arrays that `run` doesn't take.
  nb::object profile(const nb::tuple& arrays) {
    nb::list steps;
    const nb::object made =
        outputs_by(arrays, [&](const Prepared&, Size batch, const float* const* inputs, float* const* outputs) {
          std::vector<Session::StepTime> times;
          {
            const nb::gil_scoped_release release;
            const std::lock_guard<std::mutex> lock(busy_);
            times = session_->profile(batch == 0 ? 1 : batch, inputs, outputs);
          }
          for (const Session::StepTime& step : times)
            steps.append(nb::make_tuple(step.node, step.kind, step.microseconds, step.multiply_adds));
        });
    return made.is_none() ? made : steps;
  }

 private:
  template <class Run>
  nb::object outputs_by(const nb::tuple& arrays, const Run& run_on) {
    const std::vector<Input>& expected = graph().inputs;
    if (arrays.size() != expected.size()) return nb::none();
    Few<View> taken(expected.size());
    Few<const float*> inputs(expected.size());
    Size batch = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (!taken[i].take(arrays[i], PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) || !taken[i].holds_floats() ||
          !taken[i].fits(expected[i].shape, batch))
        return nb::none();
      inputs[i] = taken[i].floats();
    }
    const Prepared& how = prepared(batch == 0 ? 1 : batch);
    const std::size_t count = how.shapes.size();
    Few<nb::object> made(count);
    Few<View> given(count);
    Few<float*> outputs(count);
    for (std::size_t i = 0; i < count; ++i) {
      made[i] = empty_(how.shapes[i], float32_);
      if (!given[i].take(made[i], PyBUF_WRITABLE)) throw std::runtime_error("numpy.empty made no array of floats.");
      outputs[i] = given[i].floats();
    }
    run_on(how, batch, inputs.data(), outputs.data());
    if (count == 1) return made[0];
    nb::list results;
    for (std::size_t i = 0; i < count; ++i) results.append(made[i]);
    return nb::tuple(results);
  }

  /// What is known of a batch size after its first run.
  struct Prepared {
    std::vector<nb::tuple> shapes;  // of outputs
    double cycles;
  };

  const Graph& graph() const { return session_->graph(); }

  /// Whether another thread was inside session_ when the process forked. That thread stayed with the parent process,
  /// so that nobody here will ever unlock busy_ or finish what was begun. Needs Python's lock: so the first look after
  /// a fork comes before anything in this process could have taken busy_ itself.
  bool is_torn() {
    const std::uint64_t now = forks.load(std::memory_order_relaxed);
    if (now == seen_forks_) return torn_;
    seen_forks_ = now;
    torn_ = torn_ || !busy_.try_lock();
    if (!torn_) busy_.unlock();
    return torn_;
  }

  void require_whole() {
    if (is_torn())
      throw std::runtime_error(
          "another thread was running this session when the process forked, and was left behind in the middle: load "
          "the file again in this process, or fork while no thread runs it.");
  }

  const Prepared& prepared(Size batch) {
    require_whole();
    const auto found = prepared_.find(batch);
    if (found != prepared_.end()) return *found->second;
    std::vector<Shape> shapes;
    auto result = std::make_unique<Prepared>();
    {
      nb::gil_scoped_release release;
      const std::lock_guard<std::mutex> lock(busy_);
      session_->prepare(batch);
      shapes = session_->output_shapes(batch);
      result->cycles = session_->cycles(batch);
    }
    for (const Shape& shape : shapes) result->shapes.push_back(tuple_of(shape));
    return *prepared_.emplace(batch, std::move(result)).first->second;  // or what another thread found meanwhile
  }

  /// Nobody waits for another thread's run without letting Python's other threads go on, or both would wait for ever.
  void run(const Prepared& how, Size batch, const float* const* inputs, float* const* outputs) {
    const bool free = busy_.try_lock();
    if (free && how.cycles < kKeepLockBelow) {
      const std::lock_guard<std::mutex> lock(busy_, std::adopt_lock);
      session_->run(batch, inputs, outputs);
      return;
    }
    nb::gil_scoped_release release;
    if (!free) busy_.lock();
    const std::lock_guard<std::mutex> lock(busy_, std::adopt_lock);
    session_->run(batch, inputs, outputs);
  }

  std::unique_ptr<Session> session_;
  std::mutex busy_;  // held by the thread that uses session_
  std::uint64_t seen_forks_ = forks.load(std::memory_order_relaxed);
  bool torn_ = false;  // by a fork; guarded by Python's lock, as is the above
  std::unordered_map<Size, std::unique_ptr<Prepared>> prepared_;  // by batch, guarded by Python's lock
  nb::object empty_, float32_;
};

}  // namespace

void bind_session(nb::module_& m) {
  nb::class_<PySession>(m, "Session")
      .def(nb::init<nb::bytes, int, Size, Size, bool>(), nb::arg("content"), nb::arg("threads") = 0,
           nb::arg("elements") = 0, nb::arg("value_elements") = Limits().value_elements, nb::arg("plain_only") = false)
      .def_prop_ro("inputs", &PySession::inputs)
      .def_prop_ro("output_names", &PySession::output_names)
      .def_prop_ro("threads", &PySession::threads)
      .def("profile", &PySession::profile, nb::arg("arrays"))
      .def("prepare", &PySession::prepare, nb::arg("batch"))
      .def("run", &PySession::outputs_for, nb::arg("arrays"));
}
