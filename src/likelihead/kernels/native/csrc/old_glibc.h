// The library is to load wherever torch itself does, on glibc 2.28: of what has got a new version since, the old one.
//
// The old functions of math differ by setting errno, a nanosecond for what is called once in a row.
#pragma once

#ifdef __linux__
#include <features.h>
#endif

#if defined(__GLIBC__) && defined(__x86_64__)
#define LK_FIRST_GLIBC "GLIBC_2.2.5"
#elif defined(__GLIBC__) && defined(__aarch64__)
#define LK_FIRST_GLIBC "GLIBC_2.17"
#endif

#ifdef LK_FIRST_GLIBC
asm(".symver exp, exp@" LK_FIRST_GLIBC);
asm(".symver log, log@" LK_FIRST_GLIBC);
asm(".symver pow, pow@" LK_FIRST_GLIBC);
#endif
