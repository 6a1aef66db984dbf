// An Error of the engine becomes the exception of netsurgery.errors that a user can act on.
#include <nanobind/nanobind.h>

#include <new>
#include <stdexcept>

#include "base/error.hpp"

namespace nb = nanobind;

namespace {

constexpr const char* kWhatToDo = "run a smaller batch, or let this process have more memory";

/// The name of one of netsurgery.errors.
const char* exception_of(ns_status status) {
  switch (status) {
    case NS_ERROR_FILE:
    case NS_ERROR_UNREADABLE:
      return "PackedFileError";
    case NS_ERROR_VERSION:
      return "FileVersionError";
    case NS_ERROR_LIMIT:
      return "FileLimitError";
    case NS_ERROR_INPUT:
      return "InputError";
    default:  // an argument, or NETSURGERY_ISA
      return "SettingError";
  }
}

void set(const netsurgery::Error& error) {
  switch (error.status()) {
    case NS_ERROR_MEMORY:
      PyErr_SetString(PyExc_MemoryError, error.what());
      return;
    case NS_ERROR_INTERNAL:
      PyErr_SetString(PyExc_RuntimeError, error.what());
      return;
    default:
      PyErr_SetString(nb::module_::import_("netsurgery.errors").attr(exception_of(error.status())).ptr(), error.what());
  }
}

}  // namespace

void bind_errors(nb::module_&) {
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const netsurgery::Error& error) {
      set(error);
    } catch (const std::bad_alloc&) {  // whose own words are its name
      PyErr_SetString(PyExc_MemoryError, kWhatToDo);
    } catch (const std::length_error&) {  // what vectors say of sizes beyond all memory
      PyErr_Format(PyExc_MemoryError, "an array would be larger than any can be; %s", kWhatToDo);
    }
  });
}
