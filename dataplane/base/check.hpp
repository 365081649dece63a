// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>

// For our own invariants only: prints the condition and a sentence, then aborts. Never for input.
#define WEFT_CHECK(condition, message)                                                                           \
    do {                                                                                                         \
        if (!(condition)) [[unlikely]] {                                                                         \
            std::fprintf(stderr, "%s:%d: broken invariant: %s (%s)\n", __FILE__, __LINE__, message, #condition); \
            std::abort();                                                                                        \
        }                                                                                                        \
    } while (false)
