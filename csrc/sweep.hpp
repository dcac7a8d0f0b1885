// A sweep over all pairs of one kind: its tiles, the way each is taken, and its work shared among threads.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "instruction_sets.hpp"

namespace cospair {

// Rows of tiles that are swept together: what survives of them is held at once.
struct Panel {
  std::int64_t first_tile, last_tile;
};

class Sweep {
 public:
  Sweep(const HingeTask& task, const Kernels& build, int threads);

  std::int64_t tiles() const { return static_cast<std::int64_t>(tiles_.size()); }
  std::int64_t panels() const { return static_cast<std::int64_t>(panels_.size()); }
  std::int64_t tiles_in(std::int64_t panel) const;

  // Sweeps a panel; the tiles that have to be taken whole are added to `dense`.
  void panel(std::int64_t number, std::vector<Tile>& dense);

  // A tile by its cosines from a matrix product, each within `band` of the truth: they become what each pair pulls.
  void settle(const Tile& tile, double band, void* cosines);

  const HingeTask& task() const { return task_; }
  const HingeSum& sum() const { return sum_; }

 private:
  HingeTask task_;
  const Kernels& build_;
  int threads_;
  HingeSum sum_;
  bool screened_;
  std::vector<Tile> tiles_;
  std::vector<Panel> panels_;
  PairInTile* storage_ = nullptr;
  std::vector<Survivors> survivors_;
  struct Free {
    void operator()(unsigned char* p) const;
  };
  using Bytes = std::unique_ptr<unsigned char[], Free>;
  std::vector<Bytes> owned_;
  Levels row_levels_{}, column_levels_{};

  bool has_pairs(const Tile& tile) const;
  Tile trimmed(Tile tile) const;
  void lay_tiles();
  Levels levels_of(const Side& side, bool as_rows, bool as_columns);
  template <class T>
  T* allocate(std::int64_t count);
  void find(const Tile& tile, Survivors& out) const;
  void list_genuine(const Tile& tile, Survivors& out) const;
};

// Genuine pairs at margin 1, in closed form: their total, and the weights and number of those that are not parallel.
HingeSum genuine_at_one(const HingeTask& task, const Kernels& build, bool count_parallel, int threads);

// Turns one side's pull into its gradient: the pull times `impostor` and genuine pairs at margin 1 times `genuine` (0:
// none). `other` is the side that the spans of `side` are in.
void finish(const Side& side, const Side& other, const Kernels& build, double genuine, double impostor, void* pull,
            int threads);

void squared_lengths(const Side& side, const Kernels& build, double* out, int threads);

}  // namespace cospair
