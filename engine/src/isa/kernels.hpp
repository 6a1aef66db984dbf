// The kernel table: what every instruction set implements, and the contract of each entry.
//
// kernels_<set>.cpp compile the same sources (kernel_*.hpp) with different flags. All pointers to values are aligned to
// 64 bytes unless said otherwise; strides are in floats, offsets of non-zeros in bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "isa/instructions.hpp"

namespace netsurgery {

/// What becomes of a finished sum: the residual is added (if there is one), then it is clipped. NaN stays.
struct Finish {
  const float* residual = nullptr;  // laid out as the output, with its own strides
  std::ptrdiff_t residual_channel = 0, residual_row = 0;
  bool clips = false;
  float low = 0, high = 0;
};

/// A strip of rows x columns output pixels of some output channels, and the part of their sums that one block of input
/// channels gives.
struct Strip {
  const float* input;           // where the first window of the strip begins
  std::ptrdiff_t input_row;     // to the window one output row below
  std::ptrdiff_t input_column;  // to the window one output column to the right: 16 * stride
  float* output;                // of the strip's first pixel, first output channel
  std::ptrdiff_t output_channel, output_row;
  std::ptrdiff_t channels;  // output channels
  const float* bias;        // of each output channel: sums begin with it; nullptr: they go on from the output
  bool last;                // no more blocks follow: finish
  Finish finish;
};

struct SparseStrip : Strip {
  const float* weights;          // other than zero, row by row, one row for each output channel
  const std::uint16_t* vectors;  // where the input of each weight lies, in vectors from `input`
  const std::uint32_t* starts;   // of the rows of these channels in both; one more than channels
};

constexpr int kMostDenseVectors = 4;

/// Some vectors of output, wherever they lie, of blocks of output channels, and the part of their sums that the inputs
/// of a panel give. Channels of a block share each input that is read.
struct DensePanel {
  const float* input;  // one after another, [inputs][vectors][16]
  std::ptrdiff_t inputs;
  /// Where they come from, if they don't lie there yet: packed = input is written with the first block.
  const float* source;                  // nullptr: they do
  const std::ptrdiff_t* source_places;  // of each vector's first window, in floats from `source`
  const std::uint32_t* offsets;         // bytes, of each input within a window, in order
  float* packed;
  const float* next;  // what will be read as input later, and how many floats: fetched meanwhile
  std::ptrdiff_t next_floats;
  const float* weights;         // of each block in turn [inputs][channels of the block]
  const std::ptrdiff_t* first;  // channel of each block; one more than blocks. At most the table's dense_channels each
  std::ptrdiff_t blocks;
  std::ptrdiff_t weight_step;  // 0; or all blocks lie side by side, and an input's weights so far from the next one's
  float* output;
  const std::ptrdiff_t* places;  // of each vector, in floats from `output`
  std::ptrdiff_t output_channel;
  const float* bias;  // of each output channel: sums begin with it; nullptr: they go on from the output
  bool last;          // no more panels follow: finish
  Finish finish;      // residual_row isn't used
  const std::ptrdiff_t* residual_places;  // as `places`, from finish.residual
};

/// Lanes of a vector that are pixels of a picture.
struct PixelLanes {
  std::ptrdiff_t place;  // of the vector, in floats from wherever they are counted
  std::ptrdiff_t first;  // number of its first pixel
  int count;
  /// Of each of its pixels in order: the lane. From half[1] on they lie in the vector's second half.
  alignas(64) std::int32_t lane[16];
  int half[2];
  alignas(64) std::int32_t pixel[16];  // of each lane, -1: none
};

/// Inputs of some pixels side by side: as the weights of a DensePanel whose inputs are weights.
struct PixelInputs {
  const float* input;
  const PixelLanes* vectors;
  std::ptrdiff_t count;          // of vectors
  const std::uint32_t* offsets;  // bytes, of each input within a window, in order
  std::ptrdiff_t inputs;
  float* panel;  // [inputs][pixels], and a vector that is written over behind them
  std::ptrdiff_t pixels;
};

/// Sums of pixels, channels side by side, are finished and put where they belong.
struct PixelSums {
  const float* sums;  // [pixels][..]
  std::ptrdiff_t row;
  const PixelLanes* vectors;  // of the output
  std::ptrdiff_t count;
  std::ptrdiff_t channels;
  const float* bias;  // of each channel
  float* output;
  std::ptrdiff_t output_channel;
  Finish finish;                          // residual_row isn't used
  const std::ptrdiff_t* residual_places;  // of each vector, from finish.residual
};

/// Inputs of one vector of blocks of 2 x 2 outputs, as kernel_winograd.hpp transforms them.
struct WinogradInputs {
  const float* input;
  const std::uint32_t* offsets;  // bytes, of each input's plane
  std::ptrdiff_t inputs;
  std::ptrdiff_t rows[4];         // of a block's rows of 4 vectors, in floats from `input`
  std::ptrdiff_t last_column;     // from a row's first vector to the fourth; the others are neighbours
  float* panel;                   // of the first of 16 positions
  std::ptrdiff_t step, position;  // floats from an input to the next, from a position to the next
};

/// Sums of such a vector, of some channels: for each the 16 positions.
struct WinogradSums {
  const float* sums;
  std::ptrdiff_t channel, channels;  // floats from a channel to the next
  const float* bias;                 // of each channel
  float* output;
  std::ptrdiff_t output_channel;
  std::ptrdiff_t places[4];           // of the block's outputs, in floats from `output`; negative: there is none
  Finish finish;                      // residual_row isn't used
  std::ptrdiff_t residual_places[4];  // as `places`, from finish.residual
};

constexpr int kShorts = 32;  // whole numbers of 16 bits in a vector

/// What becomes of an exact sum of whole numbers: times `scale`, plus `shift`, each of them rounded to float32, cut,
/// and rounded to a whole number. Where there is a residual, that number and the residual times factors, which are
/// powers of two, are added, cut and rounded again. Limits are whole numbers of 16 bits.
struct FixedFinish {
  const float *scale, *shift;  // of each output channel
  float low, high;
  const std::int16_t* residual = nullptr;  // laid out as the output, with its own strides, in whole numbers
  std::ptrdiff_t residual_channel = 0, residual_row = 0;
  float own_factor = 1, residual_factor = 1, last_low = 0, last_high = 0;
  /// The same in 16 bits, for sums that have no more and aren't moved: of each output channel, what is added to a sum,
  /// and what the upper half of its product with is the number that is cut; 0: not of this channel. nullptr: of none.
  const std::int16_t *offset = nullptr, *factor = nullptr;
  /// By how many bits that number and the residual are moved up before they are added (one of them by none), and the
  /// sum down, to the nearest number.
  int own_bits = 0, residual_bits = 0, last_bits = 0;
};

constexpr std::uint16_t kOneShort = 0xffff, kMultiplied = 0xfffe;
constexpr int kShortPowers = 15;  // 2^0 to 2^14, and behind them the same below 0
alignas(64) constexpr std::int16_t kSignedPowers[] = {
    1,  2,  4,  8,  16,  32,  64,  128,  256,  512,  1024,  2048,  4096,  8192,  16384,
    -1, -2, -4, -8, -16, -32, -64, -128, -256, -512, -1024, -2048, -4096, -8192, -16384};

/// A strip of rows x columns vectors of output of some output channels, of whole numbers of 16 bits. Strides are in
/// those.
struct FixedStrip {
  const void* input;  // where the first window of the strip begins: numbers of 16 bits, or bytes of FixedBytes
  std::ptrdiff_t input_row, input_column;
  std::int16_t* output;
  std::ptrdiff_t output_channel, output_row;
  std::ptrdiff_t channels;
  /// Of each connection, where its input lies, in vectors from `input`: channel by channel, in the order of `runs`.
  const std::uint16_t* vectors;
  /// Of each channel: how many parts, or kOneShort. Of each part, whose sums stay within 16 bits: by how many bits its
  /// sum is moved; then levels. Of kOneShort, whose sum stays within 16 bits over all blocks: levels.
  /// Levels: how many; of each, from the highest exponent on, each of which doubles the sum so far: how many inputs are
  /// added, and how many are taken away.
  /// Of kMultiplied, which is a kOneShort of so few connections that runs of a few each would cost more than products:
  /// how many; each has its place in kSignedPowers in `powers`.
  const std::uint16_t* runs;
  const std::uint8_t* powers;
  /// Sums so far, aligned: kShorts for each vector of the strip, for each channel but those whose sums stay within 16
  /// bits and lie in `output`. Where a strip neither begins nor finishes them, a channel may have no parts.
  std::int32_t* wide;
  bool begins, finishes;
  FixedFinish finish;
};

/// What the windows of a strip see of some channels, of numbers from 0 to 255, as bytes: half as much to fetch for
/// whoever reads it often. Strides of the input are in whole numbers of 16 bits, of the bytes in vectors.
struct FixedBytes {
  const std::int16_t* input;
  std::ptrdiff_t channel, slice, row;
  std::ptrdiff_t channels, slices, rows, columns;
  std::ptrdiff_t phases, stride;  // column c, of phase c % stride, is the c / stride-th of it
  std::uint8_t* bytes;            // aligned
  std::ptrdiff_t bytes_channel, bytes_slice, bytes_row, bytes_phase;
};

/// Some neighbouring vectors of output of channels that each see one input channel, with weights of any kind: sums of
/// floats, which are exact where weights are whole numbers; or of 16 bits, where those are small enough. No residual.
struct FixedDepthwise {
  const std::int16_t* input;  // where the first window begins
  std::ptrdiff_t input_row, input_channel;
  std::int16_t* output;
  std::ptrdiff_t output_channel, channels;
  const float* weights;           // [channels][taps_y][taps of a row]
  const std::int16_t* whole;      // the same, of channels that sum in 16 bits
  const std::uint8_t* in_shorts;  // of each channel: whether it does
  std::ptrdiff_t taps_y;
  FixedFinish finish;
};

constexpr int kFixedDepthwiseTaps[] = {3, 5};  // of a row
constexpr int kMostFixedDepthwiseStep = 2;

/// Vectors of a halo made from others: lane l of the target is lane[l] of the source, or `outside` where that is -1.
struct FixedShuffle {
  std::ptrdiff_t target, source;  // whole numbers from the channel's begin in memory
  alignas(64) std::int16_t lane[kShorts];
  std::uint8_t quarters[4];  // of each quarter of the target: a bit for each quarter of the source that it sees
};

constexpr int kMostPickedFrom = 8;

/// A vector, of floats or whole numbers of 16 bits, whose lanes come from some others: of each of those where it lies,
/// and which of its lanes the target's are, or -1 where they come from elsewhere. Those that come from none are
/// `outside`.
template <class Entry>
struct VectorPick {
  using Lane = std::conditional_t<sizeof(Entry) == 2, std::int16_t, std::int32_t>;
  static constexpr int kLanes = 64 / static_cast<int>(sizeof(Entry));
  std::ptrdiff_t target, count;             // entries from the channel's begin in memory; at most kMostPickedFrom
  std::ptrdiff_t sources[kMostPickedFrom];  // the same
  alignas(64) Lane lanes[kMostPickedFrom][kLanes];
};

/// Such vectors, of some channels.
template <class Entry>
struct VectorPicks {
  const Entry* input;
  Entry* output;
  std::ptrdiff_t channels, input_channel, output_channel;
  const VectorPick<Entry>* picked;
  std::ptrdiff_t count;
  Entry outside;
};

/// Neighbouring vectors of whole numbers, and the same numbers lane by lane: those of each lane side by side from its
/// place on.
struct FixedRows {
  std::int16_t* vectors;  // [columns][kShorts], aligned
  std::int16_t* lanes;
  const std::int32_t* places;  // of each lane, from `lanes`
  std::ptrdiff_t columns;
};

/// A row of windows, over some channels: the largest number of each.
struct FixedPool {
  const std::int16_t* input;
  std::ptrdiff_t input_column, tap_row, tap_column;
  std::ptrdiff_t taps_y, taps_x;
  std::int16_t* output;
  std::ptrdiff_t columns;  // windows
  std::ptrdiff_t channels, input_channel, output_channel;
};

/// Of some channels: what each lane's pixels sum up to, which has 32 bits.
struct FixedSums {
  const std::int16_t* input;
  std::ptrdiff_t channels, channel;   // whole numbers from a channel to the next
  std::ptrdiff_t rows, row, columns;  // of a tile; whole numbers from a row to the next
  const std::int16_t* inside;         // [rows][columns][32]: -1 for a lane that is a pixel, otherwise 0
  std::int32_t* sums;                 // [channels][32]
  bool adds;                          // to what stands there
};

constexpr int kTableInputs = 4;    // that share a table of sums
constexpr int kTableEntries = 16;  // one for each combination of their signs: bit i is set where input i is added
constexpr int kMostTablePlanes = 4;

/// The signed sums of groups of inputs of one window, as vectors.
struct SignTables {
  const float* input;
  const std::uint32_t* offsets;  // bytes, of each input, in order
  std::ptrdiff_t inputs;
  float* tables;  // [ceil(inputs / 4)][16] vectors; inputs that don't exist count as 0
};

/// Outputs that are worked on together, where that many sums at a time hide an addition's latency.
constexpr int table_outputs(int sums, int planes) { return sums / planes > 1 ? sums / planes : 1; }
constexpr int kFixedTableRows = 4;  // the same of whole numbers, whose additions take a cycle

/// Binary planes: for each output and plane the sum of one table entry from each group, times the plane's scale.
struct TableSums {
  const float* tables;
  std::ptrdiff_t groups;
  /// Bytes from the first table to each entry: [outputs / t][groups][t][planes], where t = table_outputs of these
  /// kernels, and behind them those of the outputs that are left, [groups][planes] each.
  const std::uint16_t* entries;
  const float* scales;  // [outputs][planes]
  int planes;           // 1 .. kMostTablePlanes
  float* output;
  std::ptrdiff_t output_channel, outputs;
  const float* bias;  // nullptr: sums go on from the output
  bool last;
  Finish finish;  // of one vector: residual_row isn't used
};

/// As SignTables, of whole numbers of 16 bits: vectors of 32 of them, and sums of four stay within 16 bits.
struct FixedTables {
  const std::int16_t* input;
  const std::uint32_t* offsets;  // bytes, of each input, in order
  std::ptrdiff_t inputs;
  std::int16_t* tables;  // [ceil(inputs / 4)][16] vectors; inputs that don't exist count as 0
};

/// Rows of signs: for each the sum of one table entry from each group, which stays within 16 bits.
struct FixedTableSums {
  const std::int16_t* tables;
  std::ptrdiff_t groups;
  const std::uint16_t* entries;  // as in TableSums, with one plane and t = kFixedTableRows
  std::ptrdiff_t rows;
  std::int32_t* sums;  // [rows][32], aligned, in an order of lanes that is the kernels' own
  bool begins;         // otherwise sums go on from what stands there
};

/// What all blocks' sums of planes become: of each channel the sum over its planes, each times its scale. Products and
/// sums are rounded to float32, one after the other; the rest is as FixedFinish says, in floats.
struct FixedPlanes {
  const std::int32_t* sums;  // [channels][planes][32]
  std::ptrdiff_t planes, channels;
  std::int16_t* output;
  std::ptrdiff_t output_channel;
  FixedFinish finish;  // scale: [channels][planes]
};

/// Binary planes times one vector: tables are of single numbers.
struct TableRows {
  const float* tables;         // [groups][16], aligned
  std::ptrdiff_t groups;       // a multiple of 8
  const std::uint32_t* codes;  // [blocks][planes][groups / 8][16 outputs], a group in four bits, the first one lowest
  const float* scales;         // [blocks][planes][16 outputs]
  int planes;
  const float* bias;      // of whole blocks
  float* output;          // of whole blocks, aligned
  std::ptrdiff_t blocks;  // of 16 outputs
};

/// A row of windows, over one channel.
struct PoolRow {
  const float* input;
  std::ptrdiff_t input_column;                    // from window to window
  std::ptrdiff_t tap_slice, tap_row, tap_column;  // from tap to tap within a window
  std::ptrdiff_t taps_z, taps_y, taps_x;
  float* output;
  std::ptrdiff_t columns;  // windows
  const float* divisors;   // 16 for each window: averages; nullptr: maxima
  std::ptrdiff_t channels, input_channel, output_channel;
};

/// Of some channels: what each lane's pixels sum up to. Sums of up to four neighbours are floats: they may overflow.
struct LaneSums {
  const float* input;
  std::ptrdiff_t channels, channel;   // floats from a channel to the next
  std::ptrdiff_t rows, row, columns;  // of a tile; floats from a row to the next
  const std::uint32_t* inside;        // [rows][columns][16]: all bits of a lane that is a pixel; nullptr: all are
  double* sums;                       // [channels][16]
  bool adds;                          // to what stands there
};

/// A row of tiles, all channels: x / (bias + share * the sum of x squared over neighbouring channels) ^ (3/4).
struct NormalisedRow {
  const float* input;
  float* output;
  std::ptrdiff_t channels, channel;  // floats from a channel to the next
  std::ptrdiff_t before, after;      // neighbours on both sides
  float share, bias;
};

/// Rows of a dense matrix times one vector.
struct DenseRows {
  const float* input;    // unaligned
  const float* weights;  // [rows][inputs], unaligned
  std::ptrdiff_t inputs;
  const float* bias;  // may be nullptr
  float* output;      // unaligned
  std::ptrdiff_t rows;
  bool clips;
  float low, high;
};

/// A dense matrix times one vector, rows side by side: the sums of a block of rows stay in registers while its columns
/// come by. A row's sum runs over the columns in order, whatever the other rows.
struct SideBySideRows {
  const float* input;  // unaligned
  std::ptrdiff_t inputs;
  const float* weights;    // [blocks][inputs][16 * vectors of the block], aligned
  std::ptrdiff_t vectors;  // of 16 rows; each block has vectors_side_by_side of them, the last one what is left
  float* sums;             // [16 * vectors], aligned: added to
  bool backwards;          // the last block first
};

/// Rows of a sparse matrix times one vector. Weights lie row by row.
struct SparseRows {
  const float* input;              // unaligned
  const std::uint32_t* starts;     // rows + 1 places
  const std::uint16_t* columns16;  // one of the two
  const std::uint32_t* columns32;
  const float* values;  // one of the two
  const std::uint8_t* codes;
  const float* codebook;  // 256 values
  const float* bias;      // may be nullptr
  float* output;          // unaligned
  std::ptrdiff_t rows;
  bool clips;
  float low, high;
};

constexpr int kMostPickedVectors = 4;
constexpr int kPickedTogether = 4;  // groups of rows, whose sums don't wait for each other

/// What picked_rows is like. lanes: rows of a group. columns: of the inputs that a slot sees: neighbours; or, where the
/// groups of a bundle share what they see, two blocks of neighbours from anywhere. And about what it takes for each
/// turn, each bundle and each rest; beside it sparse_rows for each weight and each row. Measured, with matrices of 64
/// to 1,024 rows at densities of 0.5 to 30 %.
struct Picking {
  int lanes, columns;  // lanes 0: there is no picked_rows
  bool shares;
  double turn_cycles, bundle_cycles, rest_cycles, weight_cycles, row_cycles;

  constexpr int starts() const { return shares ? 2 : kPickedTogether; }  // of what is seen in a turn
  constexpr int rows() const { return kPickedTogether * lanes; }         // of a bundle
};

/// A weight that has no slot.
struct PickedRest {
  std::uint32_t row, column;  // row: as they lie in groups
  float value;
};

/// A sparse matrix times one vector or several, the rows of a group side by side, and some groups in a bundle. A slot
/// is a weight of each row of a group, or 0, and the place of the weight's column in what the slot sees; a turn is a
/// slot of each group. Rows may lie in groups in any order.
struct PickedRows {
  const float* input;  // unaligned, all of it finite
  std::ptrdiff_t inputs;
  int vectors;                           // 1 .. kMostPickedVectors
  std::ptrdiff_t next_input, next_sums;  // floats from a vector to the next
  float* sums;                           // of `groups` groups, aligned: overwritten
  std::ptrdiff_t groups;
  const std::uint32_t* turns;   // of each bundle
  const std::uint32_t* starts;  // [turns][starts()]: first columns
  const float* values;          // [turns][kPickedTogether][lanes], aligned
  const std::uint32_t* places;  // [turns][lanes], aligned: a byte of each group
  const PickedRest* rests;
  std::ptrdiff_t rests_count;
  float* output;               // added to, in the order of the rows
  std::ptrdiff_t next_output;  // floats from a vector to the next
  std::ptrdiff_t rows;
  const std::uint32_t* row_places;  // of each row, among the sums; nullptr: they are in order
};

/// A step of recurrent layers behind its sums, for one sequence. Whole vectors are read and written: there has to be
/// room for them behind `sums`, `cell` and `hidden`.
struct Cells {
  const float* sums;  // of the gates, in their order, `size` of each
  std::ptrdiff_t size;
  const float* candidate;  // of a Gru: what the input adds to the candidate, of which `sums` has what the state adds;
                           // unaligned, without room behind it
  float* cell;             // of an Lstm: changed
  float* hidden;           // changed
};

/// Where the lanes of a vector come from: lane l of the target is lane[l] of the source, or outside where that is -1.
struct LaneMap {
  alignas(64) std::int32_t lane[16];
  // Where each four lanes of the target come from four neighbours of the source (or from outside), whose first lanes
  // these are: that needs no permutation across registers. Else `in_fours` is false.
  std::int32_t four[4];
  bool in_fours;
  bool stays;  // each lane is the source's own, or outside
};

/// A vector of a halo made from another one.
struct Shuffle : LaneMap {
  std::ptrdiff_t target, source;  // floats from the channel's begin in memory
};

/// A vector and where it comes from; floats from the begin of what is made, and from the channel's first pixel.
struct VectorMove {
  std::ptrdiff_t target, source;
};
struct VectorRun {  // neighbours, as they are
  VectorMove first;
  std::ptrdiff_t count;
};

/// Convolutions of channels that each see one channel of the input, `multiplier` of them the same one.
struct DepthwiseChannels {
  float* input;  // of the first channel, its first pixel; written to where there is no scratch memory
  std::ptrdiff_t input_channel, channels;
  std::ptrdiff_t multiplier;
  // How a channel is dressed with what lies around its tiles. By maps, which stay in registers while vectors move: a
  // map of its own for each vector would fill the first cache. Those of map m are from first_move[m] to the next.
  const VectorRun* runs;
  const VectorMove* moves;
  const LaneMap* maps;
  const std::ptrdiff_t* first_move;
  std::ptrdiff_t runs_count, maps_count;
  float* scratch;             // for a dressed channel; nullptr: it is dressed where it lies
  std::ptrdiff_t seen_row;    // floats from a dressed row to the next
  std::ptrdiff_t seen_first;  // where it lies: from the first pixel to what windows see first
  const float* weights;       // [outputs][taps_y][taps of a row]
  const float* bias;          // of each output
  std::ptrdiff_t taps_y, step_y;
  float* output;  // of the first of them, its first pixel
  std::ptrdiff_t output_channel, output_row;
  std::ptrdiff_t rows, columns;
  Finish finish;
  void (*function)(const float* x, float* y, std::ptrdiff_t count, const float* parameters);  // of each row; or nullptr
  const float* parameters;
};

constexpr int kDepthwiseTaps[] = {3, 5, 7};  // of a row
constexpr int kMostDepthwiseStep = 2;
constexpr int kMostDepthwiseColumns = 8;

/// A vector of a channel, and where the pixel of each lane lies in a picture whose lanes are channels.
struct TurnedVector {
  std::ptrdiff_t place;  // floats from the channel's first pixel
  std::int32_t pixel[16];
};

/// As DepthwiseChannels, of pictures so small that what lies around their tiles would cost more than the products: some
/// channels become the lanes of pictures, where windows find their neighbours in memory, and what comes of them becomes
/// channels of tiles again. Each sees an input channel of its own. No residual.
struct TurnedChannels {
  const float* input;                      // of the first channel, its first pixel
  std::ptrdiff_t input_channel, channels;  // at most 16
  const TurnedVector* input_vectors;
  std::ptrdiff_t input_vectors_count;
  float* pictures;  // [pictures_count][rows][columns][16], 0 around the pixels; and a place for what is outside
  std::ptrdiff_t pictures_count, picture, picture_row;  // floats to the next
  std::ptrdiff_t pad_above, height;                     // of a picture: rows of zeros, rows that there are
  const float* weights;                                 // [taps_y][taps of a row][16], aligned
  const float* bias;                                    // [16], aligned
  std::ptrdiff_t taps_y, step_y;
  float* sums;  // [pictures_count][rows][columns][16]
  std::ptrdiff_t rows, columns;
  Finish finish;
  void (*function)(const float* x, float* y, std::ptrdiff_t count, const float* parameters);  // or nullptr
  const float* parameters;
  float* output;  // of the first channel, its first pixel
  std::ptrdiff_t output_channel;
  const TurnedVector* output_vectors;
  std::ptrdiff_t output_vectors_count;
};

constexpr int kFewestTurnedColumns = 4;

/// Floats fetched one by one, from each of some channels: target[i] = source[offsets[i]], or `outside` where bit i % 16
/// of inside[i / 16] is 0.
struct Picks {
  const float* source;
  float* target;                                  // unaligned
  std::ptrdiff_t source_channel, target_channel;  // floats from a channel to the next
  std::ptrdiff_t channels;
  const std::int32_t* offsets;  // unaligned; 0 or more
  const std::uint16_t* inside;
  std::ptrdiff_t count;
  float outside;
};

/// Floats of channels times a number of each, plus another one, then clipped.
struct ScaledChannels {
  const float* input;
  float* output;
  std::ptrdiff_t channels, count;                // whole vectors of each
  std::ptrdiff_t input_channel, output_channel;  // to the next
  const float* scale;                            // nullptr: 1
  const float* shift;                            // nullptr: 0
  std::ptrdiff_t scale_step, shift_step;         // to the next channel's, or 0
  bool clips;
  float low, high;
};

/// Floats of channels, rounded to a grid as Quantize says: times a number of each, plus another one, each rounded to
/// float32; times `per_step`, cut, rounded to a whole number, and times `step`. NaN becomes `low`.
struct QuantizedChannels {
  const float* input;
  float* output;
  std::ptrdiff_t channels, count;                // whole vectors of each
  std::ptrdiff_t input_channel, output_channel;  // to the next
  const float *scale, *shift;                    // of each channel
  float per_step, step, low, high;               // powers of two; whole numbers of 16 bits
};

/// Functions of one float, with the parameters that they take.
enum class Function {
  kRelu,
  kClip,  // minimum, maximum
  kHardSwish,
  kSigmoid,
  kHardSigmoid,  // alpha, beta
  kSilu,
  kGelu,
  kGeluByTanh,
  kLeakyRelu,  // alpha
  kAbs,
  kTanh,
  kCount,
};

/// Vectors of each of some channels, aligned: `places` floats from the first channel's begin, in each.
struct PlacedVectors {
  float* values;
  const std::ptrdiff_t* places;
  std::ptrdiff_t count, channels, channel;  // floats from a channel to the next
  const float* parameters;                  // of the function
};

/// A function with its parameters.
struct AppliedFunction {
  Function function;
  float parameters[2] = {};
};

/// Functions of two floats. kLargest: NaN if either is.
enum class Pair { kSum, kDifference, kProduct, kQuotient, kLargest, kCount };

/// (x - mean) / sqrt(variance + epsilon) * scale + bias, in double until the end. Nothing is aligned.
struct LayerNormRow {
  const float* input;
  float* output;
  std::ptrdiff_t count;
  const float *scale, *bias;
  double epsilon;
};

/// Softmax, or its logarithm, of columns side by side, from row to row `row` floats apart. Input and output are apart.
struct SoftmaxColumns {
  const float* input;
  float* output;
  std::ptrdiff_t rows, row, columns;
  bool logarithm;
  double* totals;  // memory for a number of each column
  float* largest;
};

constexpr int kPanelRows = 12;  // of a matrix that is packed for `product`

/// Row r of the output, `vectors` vectors long, is the sum over k of a[r * a_row + k * a_step] times the vectors at
/// b + k * b_step. a is unaligned, and so is b and the output.
struct Product {
  const float* a;
  std::ptrdiff_t a_row, a_step;
  const float* b;
  std::ptrdiff_t b_step;
  float* output;
  std::ptrdiff_t output_row;
  std::ptrdiff_t rows, vectors, depth;
  const float* bias;  // of each row: sums begin with it; nullptr: with 0, or if `goes_on` with the output
  bool goes_on;
  bool last;      // finish
  Finish finish;  // residual_row is from row to row; residual_channel isn't used
};

constexpr int kMostMasks = 3;

/// Numbers for scores, one for each key and query.
struct ScoreMask {
  enum class Use { kAdded, kMultiplied, kInstead };  // kInstead: in the place of a score, unless it is NaN
  const float* numbers;                              // [keys][vectors of queries]
  Use use;
};

/// Some queries, which are lanes, look at all keys: softmax(scale * q k, masked) v. Channels lie `channel` floats
/// apart, keys in runs of neighbouring floats.
struct Attention {
  const float *query, *key, *value;  // of a head's first channel; query: aligned
  std::ptrdiff_t query_channel, key_channel, value_channel;
  std::ptrdiff_t channels, value_channels;
  std::ptrdiff_t key_run, key_runs_apart, value_runs_apart, keys;  // keys in a run, floats from run to run, all keys
  std::ptrdiff_t vectors;                                          // of queries
  float scale;
  ScoreMask masks[kMostMasks];  // in the order in which they are used, behind `scale`
  int mask_count;
  const float* factors;  // of what each query sees, aligned; nullptr: 1
  float* output;
  std::ptrdiff_t output_channel;
  float* scores;  // memory for keys * vectors vectors, aligned
};

/// Layer normalisation of tokens, which are lanes, over channels that lie `channel` floats apart; of their squares, not
/// less the mean, unless it `centres`.
struct NormalisedTokens {
  const float* input;
  float* output;
  std::ptrdiff_t channels, channel, vectors;
  const float *scale, *bias;
  double epsilon;
  bool centres;
};

constexpr int kMostStripRows = 4;
constexpr int kMostStripColumns = 8;
constexpr int kStripSteps = 3;  // input_column of 16, of 32, of anything

struct Kernels {
  Instructions instructions;
  /// What the compiler was told to use: proves which unit runs.
  const char* (*compiled_as)();
  /// Most vectors (rows * columns) of a strip that stay in registers.
  int most_vectors;
  /// By rows - 1, columns - 1, step; nullptr where there is none. One row has all columns.
  void (*sparse[kMostStripRows][kMostStripColumns][kStripSteps])(const SparseStrip&);
  /// As `sparse`, of whole numbers.
  void (*fixed[kMostStripRows][kMostStripColumns][kStripSteps])(const FixedStrip&);
  /// Of bytes, whose input_column is 32.
  void (*fixed_bytes[kMostStripRows][kMostStripColumns])(const FixedStrip&);
  void (*pack_bytes)(const FixedBytes&);
  /// By kDepthwiseTaps, columns from one window to the next - 1, columns that are computed together - 1.
  void (*depthwise[3][kMostDepthwiseStep][kMostDepthwiseColumns])(const DepthwiseChannels&);
  double turning_cycles;  // of 16 channels: for 16 of their vectors to become lanes, or back
  /// The same, but columns that are computed together - kFewestTurnedColumns.
  void (*turned_depthwise[3][kMostDepthwiseStep][kMostDepthwiseColumns - kFewestTurnedColumns + 1])(
      const TurnedChannels&);
  /// By kFixedDepthwiseTaps, columns from one window to the next - 1, columns of output - 1.
  void (*fixed_depthwise[2][kMostFixedDepthwiseStep][kMostStripColumns])(const FixedDepthwise&);
  void (*fixed_shuffle)(std::int16_t* memory, std::ptrdiff_t channels, std::ptrdiff_t channel,
                        const FixedShuffle* shuffles, std::ptrdiff_t count, std::int16_t outside);
  /// nullptr where no instruction picks lanes from a whole vector.
  void (*pick_vectors)(const VectorPicks<float>&);
  void (*fixed_pick_vectors)(const VectorPicks<std::int16_t>&);
  void (*fixed_pool)(const FixedPool&);
  void (*fixed_sum_lanes)(const FixedSums&);
  /// Vectors to lanes. Up to 7 numbers behind those of a lane may be written too, before those of any later lane.
  void (*fixed_separate)(const FixedRows&);
  /// Lanes to vectors. Up to 7 numbers behind those of a lane may be read too.
  void (*fixed_interleave)(const FixedRows&);
  /// Whole numbers from floats: times `factor`, cut to whole numbers of 16 bits, and rounded. And back, times `factor`.
  void (*fixed_from_floats)(const float* source, std::ptrdiff_t count, float factor, float low, float high,
                            std::int16_t* target);
  void (*fixed_to_floats)(const std::int16_t* source, std::ptrdiff_t count, float factor, float* target);
  /// Most output channels of a block and vectors of a panel, whose sums stay in registers together.
  int dense_channels, dense_vectors;
  /// Of a multiply-add of a vector in a dense block, beside 1 in a sparse strip.
  double dense_cycles;
  /// By vectors - 1; nullptr beyond dense_vectors.
  void (*dense[kMostDenseVectors])(const DensePanel&);
  void (*pack_pixels)(const PixelInputs&);
  void (*finish_pixels)(const PixelSums&);
  void (*winograd_inputs)(const WinogradInputs&);
  /// False if a sum isn't finite, before it is finished.
  bool (*winograd_outputs)(const WinogradSums&);
  int table_sums_together;  // see table_outputs
  void (*tables)(const SignTables&);
  void (*table_sums)(const TableSums&);
  void (*fixed_tables)(const FixedTables&);
  void (*fixed_table_sums)(const FixedTableSums&);
  void (*fixed_planes)(const FixedPlanes&);
  void (*number_tables)(const float* input, std::ptrdiff_t groups,
                        float* tables);  // input: 4 for each group, unaligned
  void (*table_rows)(const TableRows&);
  void (*pool)(const PoolRow&);
  void (*sum_lanes)(const LaneSums&);
  void (*normalise)(const NormalisedRow&);
  /// x and y are the same array or apart, unaligned; parameters as Function says.
  void (*functions[static_cast<int>(Function::kCount)])(const float* x, float* y, std::ptrdiff_t count,
                                                        const float* parameters);
  /// The same, of vectors where they lie.
  void (*placed_functions[static_cast<int>(Function::kCount)])(const PlacedVectors&);
  /// An operand that doesn't move is one number for all. y may be one that does; unaligned.
  void (*scale_channels)(const ScaledChannels&);
  void (*quantize_channels)(const QuantizedChannels&);
  void (*pairs[static_cast<int>(Pair::kCount)])(const float* a, bool a_moves, const float* b, bool b_moves, float* y,
                                                std::ptrdiff_t count);
  /// x and y are apart and unaligned; count >= 1.
  void (*softmax_row)(const float* x, float* y, std::ptrdiff_t count);
  void (*log_softmax_row)(const float* x, float* y, std::ptrdiff_t count);
  void (*softmax_columns)(const SoftmaxColumns&);
  void (*layer_norm_row)(const LayerNormRow&);
  /// Most vectors that `product` works on at once: packed matrices are best as wide.
  int product_vectors;
  void (*product)(const Product&);
  void (*attend)(const Attention&);
  void (*normalise_tokens)(const NormalisedTokens&);
  /// target[c * target_row + r] = source[r * source_row + c], unaligned, apart.
  void (*turn)(const float* source, std::ptrdiff_t source_row, std::ptrdiff_t rows, std::ptrdiff_t columns,
               float* target, std::ptrdiff_t target_row);
  void (*sparse_rows)(const SparseRows&);
  void (*dense_rows)(const DenseRows&);
  int vectors_side_by_side;
  void (*side_by_side_rows)(const SideBySideRows&);
  Picking picking;
  void (*picked_rows)(const PickedRows&);
  /// sigmoid(f) * cell + sigmoid(i) * tanh(g), and sigmoid(o) * tanh of that.
  void (*lstm_cells)(const Cells&);
  /// (1 - z) * tanh(candidate + sigmoid(r) * recurrent) + z * hidden, z = sigmoid(update).
  void (*gru_cells)(const Cells&);
  void (*rnn_cells)(const Cells&);  // tanh
  /// Channels begin `channel` floats from each other, in source and target alike.
  void (*shuffle)(float* memory, std::ptrdiff_t channels, std::ptrdiff_t channel, const Shuffle* shuffles,
                  std::ptrdiff_t count, float outside);
  void (*pick)(const Picks&);
  /// target[x * 16 + l] = lanes[l][x]; lanes are unaligned.
  void (*interleave)(const float* const* lanes, std::ptrdiff_t columns, float* target);
  /// lanes[l][x] = source[x * 16 + l] for columns[l] columns, at most `columns`; none where lanes[l] is nullptr.
  void (*separate)(const float* source, std::ptrdiff_t columns, const std::ptrdiff_t* counts, float* const* lanes);
};

#define NETSURGERY_ROW(set, word, built) extern const Kernels k##set##Kernels;
NETSURGERY_SETS(NETSURGERY_ROW)
#undef NETSURGERY_ROW

}  // namespace netsurgery
