/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's address map: intermediate physical addresses of devices, regions and RAM, and
 * doorbell numbers.
 */
#pragma once

/* IPA map (decision 30). MMIO exits come for 0 to 1 GiB only (abi F.4). */
#define GHVM_IPA_UART 0x10000000ULL
#define GHVM_IPA_PL061 0x10001000ULL
#define GHVM_IPA_DEVICES 0x10010000ULL /* a page for each of the other devices */
#define GHVM_IPA_MMIO_PAGE 0x1000ULL
#define GHVM_APB_CLOCK 24000000 /* Hz, of devices that have a clock */
#define GHVM_IPA_GICD 0x3fff0000ULL
#define GHVM_IPA_GICD_SIZE 0x10000ULL
#define GHVM_IPA_GICR 0x3fee0000ULL   /* space for 8 vCPUs */
#define GHVM_IPA_GICR_SIZE 0x20000ULL /* per vCPU */
#define GHVM_IPA_REGIONS 0x40000000ULL
#define GHVM_IPA_PLACED 0x40200000ULL /* of those without an address: RM has a page before it */
#define GHVM_IPA_RAM 0x80000000ULL    /* if the descriptor says nothing else */
#define GHVM_IPA_END 0x800000000ULL   /* end of placed RAM: 32 GiB, below 36 bits */

/* Doorbell labels double as guest SPI numbers (SPI n is INTID 32 + n). */
#define GHVM_DOORBELL_UART 0
#define GHVM_DOORBELL_PL061 1
#define GHVM_DOORBELL_MAX 32 /* of one VM */
#define GHVM_DOORBELL_NONE 0xffffffffU
