/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "Did you mean": the word that somebody who mistyped one has probably meant. Pure.
 *
 *	struct ghvm_near near = ghvm_near_begin("memroy");
 *	char text[GHVM_NEAR_TEXT];
 *
 *	for each key that would have been right
 *		ghvm_near_offer(&near, key);
 *	complain("unknown key 'memroy'%s", ghvm_near_text(&near, text));
 *
 * complains "unknown key 'memroy'; did you mean 'memory'?", and without the second half if nothing
 * that was offered is like it.
 */
#pragma once

#include <stdbool.h>

#define GHVM_NEAR_WORD 64 /* longer words are like no other */
#define GHVM_NEAR_TEXT (GHVM_NEAR_WORD + 32)

/**
 * struct ghvm_near - a search
 * @word: what was typed; borrowed
 * @best: the nearest of what was offered, NULL: none is near; borrowed
 * @distance: of @best, or, without one, what is too far
 */
struct ghvm_near {
	const char *word;
	const char *best;
	unsigned int distance;
};

/**
 * ghvm_near_begin() - nothing is offered yet
 * @word: as it was typed, by anybody: of any length and any bytes; borrowed
 *
 * One wrong, missing, additional or swapped letter in every three is taken for a slip; upper and
 * lower case, and '-' and '_', are the same.
 */
struct ghvm_near ghvm_near_begin(const char *word);

/* @candidate: borrowed as long as @near is read. Of two that are as near the first wins. */
void ghvm_near_offer(struct ghvm_near *near, const char *candidate);

/**
 * ghvm_near_text() - the end of a sentence that said what is wrong
 * @buf: for the text
 *
 * Return: @buf: "; did you mean 'memory'?", or "" if nothing is near.
 */
const char *ghvm_near_text(const struct ghvm_near *near, char buf[GHVM_NEAR_TEXT]);
