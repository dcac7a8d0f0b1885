// Blocks of memory that are used again: a fresh one costs a page fault for every 4 KiB at its first touch, two to six
// times the time of the loss that fills it, and torch's allocator some 2 us.
#pragma once

#include <cstddef>

namespace cospair {

// At least so many bytes, from a multiple of 64 on; null where none are to be had. From 1 MiB on in huge pages
// where the system has them.
void* take_block(std::size_t bytes);

// By any thread, at any time: the block is free for the next caller who asks for as many bytes.
void put_back_block(void* block, std::size_t bytes);

// Free blocks over the limit go back to the system at once. 0 keeps none.
void limit_free_blocks(std::size_t bytes);
std::size_t free_block_bytes();

}  // namespace cospair
