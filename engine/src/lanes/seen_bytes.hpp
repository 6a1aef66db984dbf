// What the windows of a strip see, as bytes side by side.
#pragma once

#include "isa/kernels.hpp"
#include "lanes/convolution.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

/// How what the windows of strips see lies: [channel][slice][row][phase][column] vectors of 32 bytes. Columns of a
/// phase are as far apart as windows are, so that the next window's lie side by side whatever the stride is.
class SeenBytes {
 public:
  /// For strips as large as the largest.
  SeenBytes(const Windows& windows, const Strips& strips);

  Size vectors() const { return slices_.most * slice_vectors(); }  // of a channel
  /// Vectors from the first of a channel's to one that a tap of the first window sees.
  Size tap(Size number) const;
  /// Vectors from a window to the one of the next slice, or row.
  Size slice_step() const { return slices_.step * slice_vectors(); }
  Size row_step() const { return rows_.step * row_vectors(); }

  /// To be packed for a strip of so many windows; input: where the first begins.
  FixedBytes packing(const Layout& layout, const std::int16_t* input, Size channels, Size slices, Size rows,
                     Size columns, std::uint8_t* bytes) const;

 private:
  /// Slices or rows: all that a window reaches over, or with a kernel of one only those that windows begin with.
  struct Axis {
    Size reach, apart;  // of the windows, in the input
    Size step, tap;     // from a window to the next, and from a tap, of what is packed
    Size most;          // that are packed of the largest strip

    Axis(Size kernel, Size stride, Size dilation, Size windows);
    Size count(Size windows) const { return (windows - 1) * step + reach; }
  };

  Size row_vectors() const { return phases_ * columns_; }
  Size slice_vectors() const { return rows_.most * row_vectors(); }

  Windows windows_;
  Axis slices_, rows_;
  Size phases_, columns_;  // columns of a phase, of the largest strip
};

}  // namespace netsurgery
