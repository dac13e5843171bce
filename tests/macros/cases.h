/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The windows that the assertion macros are tested on: eight neighbouring values
 * of one type. A relation (and a second one for the other side, if there is one)
 * leaves only these, which index an array of eight elements. The last column is
 * the size of the constant that it takes.
 *
 *	WINDOW(name, type, one below, lowest, highest, one above, constant)
 *	FLOOR	a window at the bottom of the type: there is nothing below
 *	CEILING	a window at the top: there is nothing above
 *
 * An object contains those of one type: CASES_<type>.
 */
#ifndef _CASES_H
#define _CASES_H

typedef unsigned char u8;
typedef signed char s8;
typedef unsigned short u16;
typedef short s16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#define CASES_u8(FLOOR, WINDOW, CEILING)					\
	FLOOR(u8_min, u8, 0, 7, 8, "8 bits")					\
	WINDOW(u8_sign, u8, 123, 124, 131, 132, "8 bits")			\
	CEILING(u8_max, u8, 247, 248, 255, "8 bits")

#define CASES_s8(FLOOR, WINDOW, CEILING)					\
	FLOOR(s8_min, s8, -128, -121, -120, "8 bits")				\
	WINDOW(s8_zero, s8, -5, -4, 3, 4, "8 bits")				\
	WINDOW(s8_pos, s8, 99, 100, 107, 108, "8 bits")				\
	CEILING(s8_max, s8, 119, 120, 127, "8 bits")

#define CASES_u16(FLOOR, WINDOW, CEILING)					\
	FLOOR(u16_min, u16, 0, 7, 8, "8 bits")					\
	WINDOW(u16_sign, u16, 0x7ffb, 0x7ffc, 0x8003, 0x8004, "16 bits")	\
	CEILING(u16_max, u16, 0xfff7, 0xfff8, 0xffff, "16 bits")

#define CASES_s16(FLOOR, WINDOW, CEILING)					\
	FLOOR(s16_min, s16, -0x8000, -0x7ff9, -0x7ff8, "16 bits")		\
	WINDOW(s16_zero, s16, -5, -4, 3, 4, "8 bits")				\
	WINDOW(s16_pos, s16, 999, 1000, 1007, 1008, "16 bits")			\
	CEILING(s16_max, s16, 0x7ff7, 0x7ff8, 0x7fff, "16 bits")

#define CASES_u32(FLOOR, WINDOW, CEILING)					\
	FLOOR(u32_min, u32, 0, 7, 8, "8 bits")					\
	WINDOW(u32_mid, u32, 99999, 100000, 100007, 100008, "32 bits")		\
	WINDOW(u32_sign, u32, 0x7ffffffb, 0x7ffffffc, 0x80000003, 0x80000004,	\
	       "32 bits, on both sides of the sign")				\
	CEILING(u32_max, u32, 0xfffffff7, 0xfffffff8, 0xffffffff, "32 bits")

#define CASES_s32(FLOOR, WINDOW, CEILING)					\
	FLOOR(s32_min, s32, -2147483648, -2147483641, -2147483640, "32 bits")	\
	WINDOW(s32_neg, s32, -100001, -100000, -99993, -99992, "32 bits")	\
	WINDOW(s32_zero, s32, -5, -4, 3, 4, "8 bits")				\
	WINDOW(s32_one, s32, 0, 1, 8, 9, "8 bits, positive")			\
	WINDOW(s32_pos, s32, 99999, 100000, 100007, 100008, "32 bits")		\
	CEILING(s32_max, s32, 0x7ffffff7, 0x7ffffff8, 0x7fffffff, "32 bits")

#define CASES_u64(FLOOR, WINDOW, CEILING)					\
	FLOOR(u64_min, u64, 0, 7, 8, "8 bits")					\
	WINDOW(u64_mid, u64, 99999, 100000, 100007, 100008, "32 bits")		\
	WINDOW(u64_imm, u64, 0x7ffffffb, 0x7ffffffc, 0x80000003, 0x80000004,	\
	       "32 bits, on both sides of the largest immediate")		\
	WINDOW(u64_33, u64, 0xfffffffb, 0xfffffffc, 0x100000003, 0x100000004,	\
	       "32 and 33 bits")						\
	WINDOW(u64_big, u64, 0x123456789abcdeee, 0x123456789abcdeef,		\
	       0x123456789abcdef6, 0x123456789abcdef7, "64 bits")		\
	WINDOW(u64_half, u64, 0xbfffffffffffffff, 0xc000000000000000,		\
	       0xc000000000000007, 0xc000000000000008, "64 bits")		\
	CEILING(u64_max, u64, 0xfffffffffffffff7, 0xfffffffffffffff8,		\
		0xffffffffffffffff, "64 bits")

/* There is no literal for the smallest value: -0x8000000000000000 is unsigned in C. */
#define CASES_s64(FLOOR, WINDOW, CEILING)					\
	WINDOW(s64_low, s64, -0x7fffffffffffffff, -0x7ffffffffffffffe,		\
	       -0x7ffffffffffffff7, -0x7ffffffffffffff6, "64 bits")		\
	WINDOW(s64_neg, s64, -0x80000005LL, -0x80000004LL, -0x7ffffffdLL,	\
	       -0x7ffffffcLL, "32 bits, on both sides of the least immediate")	\
	WINDOW(s64_zero, s64, -5, -4, 3, 4, "8 bits")				\
	WINDOW(s64_pos, s64, 99999, 100000, 100007, 100008, "32 bits")		\
	WINDOW(s64_imm, s64, 0x7ffffffb, 0x7ffffffc, 0x80000003, 0x80000004,	\
	       "32 bits, on both sides of the largest immediate")		\
	WINDOW(s64_big, s64, 0x123456789abcdeee, 0x123456789abcdeef,		\
	       0x123456789abcdef6, 0x123456789abcdef7, "64 bits")		\
	CEILING(s64_max, s64, 0x7ffffffffffffff7, 0x7ffffffffffffff8,		\
		0x7fffffffffffffff, "64 bits")

/*
 * A value at the far end of the type, which a compare of the wrong signedness or
 * width takes for one at the other end.
 *
 *	FAR(type, constant, smallest value, largest value)
 */
#define FAR_u8(FAR) FAR(u8, 100, 0, 255)
#define FAR_s8(FAR) FAR(s8, 100, -128, 127) FAR(s8, -100, -128, 127)
#define FAR_u16(FAR) FAR(u16, 100, 0, 0xffff)
#define FAR_s16(FAR) FAR(s16, 100, -0x8000, 0x7fff) FAR(s16, -100, -0x8000, 0x7fff)
#define FAR_u32(FAR) FAR(u32, 100, 0, 0xffffffff) FAR(u32, 0x80000000, 0, 0xffffffff)
#define FAR_s32(FAR)								\
	FAR(s32, 100, -2147483648, 0x7fffffff)					\
	FAR(s32, -100, -2147483648, 0x7fffffff)
#define FAR_u64(FAR)								\
	FAR(u64, 100, 0, 0xffffffffffffffff)					\
	FAR(u64, 0x80000000, 0, 0xffffffffffffffff)				\
	FAR(u64, 0xffffffff80000000, 0, 0xffffffffffffffff)			\
	FAR(u64, 0x8000000000000000, 0, 0xffffffffffffffff)
#define FAR_s64(FAR)								\
	FAR(s64, 100, -0x7fffffffffffffff, 0x7fffffffffffffff)			\
	FAR(s64, -100, -0x7fffffffffffffff, 0x7fffffffffffffff)		\
	FAR(s64, 0x80000000, -0x7fffffffffffffff, 0x7fffffffffffffff)		\
	FAR(s64, -0x100000000, -0x7fffffffffffffff, 0x7fffffffffffffff)

#endif /* _CASES_H */
