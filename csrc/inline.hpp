#pragma once

// Inlined for certain: of a copy that is not, the linker would keep one for all instruction sets, and a call would pass
// vectors in memory.
#define COSPAIR_INLINE inline __attribute__((always_inline))
