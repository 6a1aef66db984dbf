// A session for Python: netsurgery.Session holds one. What it doesn't take at once it leaves to Python, which converts
// arrays or says what is wrong with them; so the usual call costs a fraction of a microsecond beside the network.
#include "session/session.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
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
constexpr double kKeepLockBelow = 100000;    // cycles of a run: some 30 microseconds
constexpr std::size_t kMostPrepared = 1024;  // sizes of which the outputs' shapes are kept

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
  /// Entries of this type and of the machine's own kind, where such may lie. Needs PyBUF_FORMAT.
  bool holds(ValueType type) const {
    if (!buffer_.format || buffer_.format[0] == '\0' || buffer_.format[1] != '\0') return false;
    const std::size_t bytes = entry_of(type).bytes;
    // Whole numbers of one size have several letters.
    const char* letters = entry_of(type).whole ? "ilq" : type == ValueType::kBool ? "?" : "f";
    return std::strchr(letters, buffer_.format[0]) != nullptr && static_cast<std::size_t>(buffer_.itemsize) == bytes &&
           reinterpret_cast<std::uintptr_t>(buffer_.buf) % bytes == 0;
  }
  /// Whether this is the shape. The first appearance of an open axis says its size, which is 0 before. Needs PyBUF_ND.
  bool fits(const Shape& shape, Sizes& sizes) const {
    if (static_cast<std::size_t>(buffer_.ndim) != shape.size()) return false;
    for (std::size_t place = 0; place < shape.size(); ++place) {
      const Size size = buffer_.shape[place];
      Size wanted = shape[place];
      if (is_open(wanted)) {
        Size& open = sizes[axis_of(wanted)];
        if (open == 0) open = size;
        wanted = open;
      }
      if (size < 1 || size != wanted) return false;
    }
    return true;
  }
  const void* entries() const { return buffer_.buf; }
  void* writable() const { return buffer_.buf; }

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

nb::tuple tuple_of(const Shape& shape, const Graph& graph) {
  nb::list sizes;
  for (const Size size : shape)
    sizes.append(is_open(size) ? nb::object(text(graph.axes[axis_of(size)].name)) : nb::object(nb::int_(size)));
  return nb::tuple(sizes);
}

class PySession {
 public:
  PySession(nb::bytes content, int threads, Size elements, Size value_elements, bool plain_only)
      : content_(std::move(content)) {
    const auto* bytes = static_cast<const std::uint8_t*>(content_.data());
    const std::size_t size = content_.size();
    const Limits limits{elements, value_elements};
    notice_forks();
    SessionOptions options;
    options.threads = threads;
    options.plain_only = plain_only;
    {
      nb::gil_scoped_release release;
      session_ = std::make_unique<Session>(read_graph(bytes, size, limits), options,
                                           [=] { return read_constants(bytes, size, limits); });
    }
    const nb::module_ numpy = nb::module_::import_("numpy");
    empty_ = numpy.attr("empty");
    array_type_ = numpy.attr("ndarray");
    for (const int output : graph().outputs) types_.push_back(numpy.attr("dtype")(entry_of(graph().type(output)).name));
  }
  ~PySession() {
    if (is_torn()) static_cast<void>(session_.release());  // can't even be destroyed
  }
  PySession(const PySession&) = delete;
  PySession& operator=(const PySession&) = delete;

  nb::tuple inputs() const {
    nb::list result;
    for (const Input& input : graph().inputs)
      result.append(nb::make_tuple(text(input.name), tuple_of(input.shape, graph()), static_cast<int>(input.type)));
    return nb::tuple(result);
  }
  nb::tuple output_names() const {
    nb::list names;
    for (const std::string& name : graph().output_names) names.append(text(name));
    return nb::tuple(names);
  }
  nb::tuple axes() const {
    nb::list axes;
    for (const OpenAxis& axis : graph().axes)
      axes.append(nb::make_tuple(nb::str(axis.name.data(), axis.name.size()), axis.least, axis.step));
    return nb::tuple(axes);
  }
  nb::tuple output_types() const {
    nb::list types;
    for (const int output : graph().outputs) types.append(static_cast<int>(graph().type(output)));
    return nb::tuple(types);
  }
  /// (output, axis, output that says how many entries along it are there) of those that have as many as are found.
  nb::list first_entries() const {
    nb::list result;
    for (const FoundEntries& one : graph().found()) result.append(nb::make_tuple(one.output, one.axis, one.count));
    return result;
  }
  int threads() const { return session_->threads(); }
  /// A size for each open axis.
  void prepare(const std::vector<Size>& given) {
    Sizes sizes{};
    std::copy_n(given.begin(), std::min(given.size(), graph().axes.size()), sizes.begin());
    prepared(sizes);
  }

  nb::object outputs_for(const nb::tuple& arrays) {
    return outputs_by(arrays, [this](const Prepared& how, const Sizes& sizes, const void* const* inputs,
                                     void* const* outputs) { run(how, sizes, inputs, outputs); });
  }

  /// (node, kind, microseconds, multiply-adds) of each step; None for arrays that `run` doesn't take.
  nb::object profile(const nb::tuple& arrays) {
    nb::list steps;
    const nb::object made =
        outputs_by(arrays, [&](const Prepared&, const Sizes& sizes, const void* const* inputs, void* const* outputs) {
          std::vector<Session::StepTime> times;
          {
            const nb::gil_scoped_release release;
            const std::lock_guard<std::mutex> lock(busy_);
            times = session_->profile(sizes, inputs, outputs);
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
    Few<const void*> inputs(expected.size());
    Sizes sizes{};
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (means_more(arrays[i])) return nb::none();
      if (!taken[i].take(arrays[i], PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) || !taken[i].holds(expected[i].type) ||
          !taken[i].fits(expected[i].shape, sizes))
        return nb::none();
      inputs[i] = taken[i].entries();
    }
    const std::shared_ptr<const Prepared> held = prepared(sizes);  // another thread may have it forgotten
    const Prepared& how = *held;
    const std::size_t count = how.shapes.size();
    Few<nb::object> made(count);
    Few<View> given(count);
    Few<void*> outputs(count);
    for (std::size_t i = 0; i < count; ++i) {
      made[i] = empty_(how.shapes[i], types_[i]);
      if (!given[i].take(made[i], PyBUF_WRITABLE)) throw std::runtime_error("numpy.empty made no array of numbers.");
      outputs[i] = given[i].writable();
    }
    run_on(how, sizes, inputs.data(), outputs.data());
    if (count == 1) return made[0];
    nb::list results;
    for (std::size_t i = 0; i < count; ++i) results.append(made[i]);
    return nb::tuple(results);
  }

  /// Whether an array is of a class that may mean something else than what its memory holds, as a masked one does.
  bool means_more(nb::handle array) const {
    PyTypeObject* const own = reinterpret_cast<PyTypeObject*>(array_type_.ptr());
    return Py_TYPE(array.ptr()) != own && PyType_IsSubtype(Py_TYPE(array.ptr()), own);
  }

  /// What is known of sizes after the first run at them.
  struct Prepared {
    Sizes sizes;
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

  std::shared_ptr<const Prepared> prepared(const Sizes& sizes) {
    require_whole();
    if (newest_ && newest_->sizes == sizes) return newest_;
    const auto found = prepared_.find(sizes);
    if (found != prepared_.end()) return newest_ = found->second;
    std::vector<Shape> shapes;
    auto result = std::make_shared<Prepared>();
    result->sizes = sizes;
    {
      nb::gil_scoped_release release;
      const std::lock_guard<std::mutex> lock(busy_);
      session_->prepare(sizes);
      shapes = session_->output_shapes(sizes);
      result->cycles = session_->cycles(sizes);
    }
    for (const Shape& shape : shapes) result->shapes.push_back(tuple_of(shape, graph()));
    if (prepared_.size() >= kMostPrepared) prepared_.clear();
    return newest_ =
               prepared_.emplace(sizes, std::move(result)).first->second;  // or what another thread found meanwhile
  }

  /// Nobody waits for another thread's run without letting Python's other threads go on, or both would wait for ever.
  void run(const Prepared& how, const Sizes& sizes, const void* const* inputs, void* const* outputs) {
    const bool free = busy_.try_lock();
    if (free && how.cycles < kKeepLockBelow) {
      const std::lock_guard<std::mutex> lock(busy_, std::adopt_lock);
      session_->run(sizes, inputs, outputs);
      return;
    }
    nb::gil_scoped_release release;
    if (!free) busy_.lock();
    const std::lock_guard<std::mutex> lock(busy_, std::adopt_lock);
    session_->run(sizes, inputs, outputs);
  }

  nb::bytes content_;  // which session_ may read again
  std::unique_ptr<Session> session_;
  std::mutex busy_;  // held by the thread that uses session_
  std::uint64_t seen_forks_ = forks.load(std::memory_order_relaxed);
  bool torn_ = false;                                          // by a fork; guarded by Python's lock, as is the above
  std::map<Sizes, std::shared_ptr<const Prepared>> prepared_;  // guarded by Python's lock, as is the next
  std::shared_ptr<const Prepared> newest_;                     // asked for last
  nb::object empty_;
  nb::object array_type_;
  std::vector<nb::object> types_;  // of the outputs, as NumPy's
};

}  // namespace

void bind_session(nb::module_& m) {
  nb::class_<PySession>(m, "Session")
      .def(nb::init<nb::bytes, int, Size, Size, bool>(), nb::arg("content"), nb::arg("threads") = 0,
           nb::arg("elements") = 0, nb::arg("value_elements") = Limits().value_elements, nb::arg("plain_only") = false)
      .def_prop_ro("inputs", &PySession::inputs)
      .def_prop_ro("output_names", &PySession::output_names)
      .def_prop_ro("axes", &PySession::axes)
      .def_prop_ro("output_types", &PySession::output_types)
      .def_prop_ro("first_entries", &PySession::first_entries)
      .def_prop_ro("threads", &PySession::threads)
      .def("profile", &PySession::profile, nb::arg("arrays"))
      .def("prepare", &PySession::prepare, nb::arg("sizes"))
      .def("run", &PySession::outputs_for, nb::arg("arrays"));
}
