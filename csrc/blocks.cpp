#include "blocks.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

namespace cospair {
namespace {

constexpr std::size_t kLine = 64, kPage = std::size_t{1} << 12, kHugePage = std::size_t{1} << 21;
constexpr std::size_t kMapped = std::size_t{1} << 16;  // from here on mapped, below from malloc
constexpr std::size_t kHuge = std::size_t{1} << 20;    // from here on in huge pages

std::size_t rounded(std::size_t bytes) {
  const std::size_t unit = bytes < kMapped ? kLine : bytes < kHuge ? kPage : kHugePage;
  return bytes ? (bytes + unit - 1) / unit * unit : kLine;
}

// A private mapping is copied on write: a forked child and its parent never write into each other's blocks.
void* from_system(std::size_t size) {
  if (size < kMapped) return std::aligned_alloc(kLine, size);
  void* const block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
  if (block == MAP_FAILED) return nullptr;
#if defined(MADV_HUGEPAGE)
  if (size >= kHuge) madvise(block, size, MADV_HUGEPAGE);  // a system without them gives small ones
#endif
  return block;
}

void to_system(void* block, std::size_t size) {
  if (size < kMapped) return std::free(block);
  munmap(block, size);
}

// Free blocks by size, each the head of a list that runs through the blocks themselves.
class Pool {
 public:
  void* take(std::size_t size) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      void*& first = free_[size];
      if (first) return pop(first, size);
    }
    if (void* const made = from_system(size)) return made;
    const std::lock_guard<std::mutex> lock(mutex_);
    make_room(0, limit_);
    return from_system(size);
  }

  void put_back(void* block, std::size_t size) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (size > limit_) return to_system(block, size);
    make_room(size, size);
    void*& first = free_.find(size)->second;
    *static_cast<void**>(block) = first;
    first = block;
    free_bytes_ += size;
  }

  void limit(std::size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    limit_ = bytes;
    make_room(0, 0);
  }

  std::size_t free_bytes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return free_bytes_;
  }

  std::mutex& mutex() { return mutex_; }

 private:
  void* pop(void*& first, std::size_t size) {
    void* const block = first;
    first = *static_cast<void**>(block);
    free_bytes_ -= size;
    return block;
  }

  // Gives blocks back, the largest first and those of the kept size last, until so many bytes more would fit.
  void make_room(std::size_t kept, std::size_t bytes) {
    if (free_bytes_ + bytes <= limit_) return;
    for (auto held = free_.rbegin(); held != free_.rend(); ++held)
      if (held->first != kept) give_back(held->second, held->first, bytes);
    const auto held = free_.find(kept);
    if (held != free_.end()) give_back(held->second, kept, bytes);
  }

  void give_back(void*& first, std::size_t size, std::size_t bytes) {
    while (first && free_bytes_ + bytes > limit_) to_system(pop(first, size), size);
  }

  std::mutex mutex_;
  std::map<std::size_t, void*> free_;
  std::size_t free_bytes_ = 0, limit_ = std::size_t{1} << 30;
};

// Never destroyed: tensors outlive the module. Whoever forks holds its lock while doing so, so that a child finds it
// free.
Pool* shared = nullptr;

Pool& pool() {
  static const bool made = [] {
    shared = new Pool;
    return pthread_atfork([] { shared->mutex().lock(); }, [] { shared->mutex().unlock(); },
                          [] { shared->mutex().unlock(); }) == 0;
  }();
  (void)made;
  return *shared;
}

}  // namespace

void* take_block(std::size_t bytes) try { return pool().take(rounded(bytes)); } catch (const std::bad_alloc&) {
  return nullptr;
}

void put_back_block(void* block, std::size_t bytes) { pool().put_back(block, rounded(bytes)); }

void limit_free_blocks(std::size_t bytes) { pool().limit(bytes); }

std::size_t free_block_bytes() { return pool().free_bytes(); }

}  // namespace cospair
