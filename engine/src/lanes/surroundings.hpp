// What lies around tiles, and has to be filled before windows see it.
#pragma once

#include "graph/step.hpp"

namespace netsurgery {

class Surroundings {
 public:
  virtual ~Surroundings() = default;
  /// Of some channels of a group of lanes: from the neighbouring tiles, and from outside the picture.
  virtual void fill(Buffers buffers, Size group, Size first, Size channels) const = 0;
};

}  // namespace netsurgery
