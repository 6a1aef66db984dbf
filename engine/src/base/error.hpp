// Everything that can go wrong, as a status and a sentence that says what was given, what is allowed and what to do.
#pragma once

#include <stdexcept>
#include <string>

#include "netsurgery.h"

namespace netsurgery {

class Error : public std::runtime_error {
 public:
  Error(ns_status status, const std::string& sentence) : std::runtime_error(sentence), status_(status) {}
  ns_status status() const noexcept { return status_; }

 private:
  ns_status status_;
};

/// A graph that doesn't fit sizes of its axes, but would fit larger ones of them.
class TooSmall : public Error {
 public:
  explicit TooSmall(const std::string& sentence) : Error(NS_ERROR_FILE, sentence) {}
};

}  // namespace netsurgery
