// Work shared among threads.
#pragma once

namespace cospair {

// Calls work(context) on up to `threads` threads, this one among them, and waits for all. Fewer may come; the work
// must be claimed piece by piece. It must not throw.
void share(void (*work)(void*), void* context, int threads);

}  // namespace cospair
