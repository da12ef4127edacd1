/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "Did you mean": the word nearest to a mistyped one. Pure.
 *
 *	struct ghvm_near near = ghvm_near_begin("memroy");
 *	char text[GHVM_NEAR_TEXT];
 *
 *	for each key that would have been right
 *		ghvm_near_offer(&near, key);
 *	complain("unknown key 'memroy'%s", ghvm_near_text(&near, text));
 *
 * prints "unknown key 'memroy'; did you mean 'memory'?", and without the second half if no key is
 * similar.
 */
#pragma once

#include <stdbool.h>

#define GHVM_NEAR_WORD 64 /* longer words match nothing */
#define GHVM_NEAR_TEXT (GHVM_NEAR_WORD + 32)

/**
 * struct ghvm_near - a search
 * @word: the mistyped word; borrowed
 * @best: the nearest candidate so far, NULL: none is near; borrowed
 * @distance: of @best; without one, the smallest distance that is too far
 */
struct ghvm_near {
	const char *word;
	const char *best;
	unsigned int distance;
};

/**
 * ghvm_near_begin() - start a search
 * @word: not trusted: of any length and any bytes; borrowed
 *
 * One wrong, missing, additional or swapped letter in three counts as a slip; case is ignored,
 * '-' and '_' are the same.
 */
struct ghvm_near ghvm_near_begin(const char *word);

/* @candidate: borrowed as long as @near is used. Of two equally near ones the first wins. */
void ghvm_near_offer(struct ghvm_near *near, const char *candidate);

/**
 * ghvm_near_text() - the suggestion, to be appended to an error message
 * @buf: for the text
 *
 * Return: @buf, with "; did you mean 'memory'?", or "" if nothing is near.
 */
const char *ghvm_near_text(const struct ghvm_near *near, char buf[GHVM_NEAR_TEXT]);
