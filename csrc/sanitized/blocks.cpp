// Blocks taken and put back by one thread and by several, under changing limits: each holds what its taker wrote until
// the taker gives it back, so no two takers have one block.
#include "../blocks.hpp"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "guarded.hpp"

namespace cospair {
namespace {

struct Taken {
  void* block;
  std::size_t bytes;
  int mark;
};

void check_and_put_back(const Taken& taken) {
  const auto* const at = static_cast<const unsigned char*>(taken.block);
  for (std::size_t i = 0; i < taken.bytes; ++i)
    if (at[i] != taken.mark) fail("a block was written by another");
  put_back_block(taken.block, taken.bytes);
}

void take_and_put_back(std::uint64_t seed, std::int64_t rounds) {
  constexpr std::size_t sizes[] = {1, 64, 4000, 16384, 65536, 70000, std::size_t{1} << 20, (std::size_t{1} << 21) + 1};
  Dice dice(seed);
  std::vector<Taken> held;
  for (std::int64_t round = 0; round < rounds; ++round) {
    if (held.size() < 4 || dice.one_in(2)) {
      const std::size_t bytes = sizes[dice.below(8)];
      void* const block = take_block(bytes);
      if (!block) fail("no block");
      const int mark = static_cast<int>(dice.below(256));
      std::memset(block, mark, bytes);
      held.push_back({block, bytes, mark});
    } else {
      const std::size_t which = static_cast<std::size_t>(dice.below(static_cast<std::int64_t>(held.size())));
      check_and_put_back(held[which]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
    }
    if (dice.one_in(50)) limit_free_blocks(std::size_t{1} << dice.below(26));
  }
  for (const Taken& taken : held) check_and_put_back(taken);
}

}  // namespace

void run_blocks(std::int64_t rounds, std::uint64_t seed) {
  take_and_put_back(seed, rounds);
  limit_free_blocks(0);
  if (free_block_bytes()) fail("blocks are kept over the limit");
  std::printf("%lld takings and returns of blocks: no complaint\n", static_cast<long long>(rounds));
}

void run_blocks_concurrently(std::int64_t rounds) {
  std::vector<std::thread> callers;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) callers.emplace_back(take_and_put_back, seed, rounds);
  for (std::thread& caller : callers) caller.join();
  std::printf("%lld takings and returns of blocks by each of 3 threads: no complaint\n",
              static_cast<long long>(rounds));
}

}  // namespace cospair
