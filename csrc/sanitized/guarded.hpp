// What every part of the driver draws from: dice, buffers between guards, and the ranges of the elements.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>

#include "../lanes.hpp"
#include "../pairs.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define COSPAIR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COSPAIR_ASAN 1
#endif
#endif
#if defined(COSPAIR_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace cospair {

// blocks.cpp
void run_blocks(std::int64_t rounds, std::uint64_t seed);
void run_blocks_concurrently(std::int64_t rounds);
// sweeps.cpp
void run_sweeps(std::int64_t rounds, std::uint64_t seed);
void run_sweeps_concurrently(std::int64_t rounds);
// tallies.cpp
void run_tallies(std::int64_t rounds, std::uint64_t seed);
void run_tallies_concurrently(std::int64_t rounds);

namespace {

[[noreturn]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  std::exit(1);
}

struct Dice {  // xorshift64*, the same everywhere
  std::uint64_t state;
  std::uint64_t next() {
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Dull;
  }
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(next() >> 33) % n; }
  bool one_in(std::int64_t n) { return below(n) == 0; }
  double uniform() { return static_cast<double>(static_cast<std::int64_t>(next() >> 11)) * 0x1p-52 - 1.0; }
};

// ---- buffers -----------------------------------------------------------------------------------------------------

class Guarded {
 public:
  Guarded(std::size_t bytes, std::size_t shift) : bytes_(bytes), front_(kGuard + shift) {
    const std::size_t all = (front_ + bytes + kGuard + 63) / 64 * 64;
    memory_ = static_cast<unsigned char*>(std::aligned_alloc(64, all));
    if (!memory_) fail("no memory");
    all_ = all;
    std::memset(memory_, kPattern, all);
    poison(true);
  }
  ~Guarded() {
    poison(false);
    std::free(memory_);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  void* data() const { return memory_ + front_; }
  void check() {
    poison(false);
    for (std::size_t i = 0; i < all_; ++i)
      if ((i < front_ || i >= front_ + bytes_) && memory_[i] != kPattern) fail("written outside a buffer");
    poison(true);
  }

 private:
  static constexpr std::size_t kGuard = 128;
  static constexpr unsigned char kPattern = 0xA5;
  void poison([[maybe_unused]] bool on) {
#if defined(COSPAIR_ASAN)
    if (on) {
      __asan_poison_memory_region(memory_, front_);
      __asan_poison_memory_region(memory_ + front_ + bytes_, all_ - front_ - bytes_);
    } else {
      __asan_unpoison_memory_region(memory_, all_);
    }
#endif
  }
  unsigned char* memory_;
  std::size_t bytes_, front_, all_ = 0;
};

using Buffer = std::unique_ptr<Guarded>;

inline Buffer buffer(std::size_t bytes, std::size_t shift = 0) { return std::make_unique<Guarded>(bytes, shift); }

template <class T>
constexpr Element kElement = std::is_same_v<T, float>      ? Element::f32
                             : std::is_same_v<T, double>   ? Element::f64
                             : std::is_same_v<T, BFloat16> ? Element::bf16
                                                           : Element::f16;

struct Range {
  double largest, smallest, epsilon;
};

template <class T>
Range range() {
  if (sizeof(T) == 8) return {std::numeric_limits<double>::max(), 0x1p-1074, 0x1p-52};
  if (sizeof(T) == 4) return {std::numeric_limits<float>::max(), 0x1p-149, 0x1p-23};
  if (std::is_same_v<T, BFloat16>) return {0x1.fep127, 0x1p-133, 0x1p-7};
  return {65504.0, 0x1p-24, 0x1p-10};
}

template <class... Buffers>
void check_guards(const Buffers&... buffers) {
  ((buffers ? buffers->check() : void()), ...);
}

inline void* data(const Buffer& b) { return b ? b->data() : nullptr; }

}  // namespace
}  // namespace cospair
