// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of a pin: since Linux 6.12 folios of a memfd, before that pages of a mapping.
 *
 * A pin of folios holds one reference for each folio, a pin of a mapping one for each page. Which
 * of the two a pin is depends on the kernel only, so each is unpinned as it was pinned.
 */
#include <linux/file.h>
#include <linux/hugetlb.h>
#include <linux/io.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>

#include "ghvm_priv.h"

#define BATCH (2 * PAGEVEC_SIZE)    /* folios pinned per call, or pages per mmap lock */
#define CHUNK (512UL << PAGE_SHIFT) /* bytes unpinned between cond_resched()s */

static int extents_resize(struct ghvm_extents *e, u64 cap)
{
	struct ghvm_extent *v;

	if (!cap)
		return -E2BIG;
	v = kvmalloc_array(cap, sizeof(*v), GFP_KERNEL_ACCOUNT);
	if (!v)
		return -ENOMEM;
	if (e->n)
		memcpy(v, e->v, e->n * sizeof(*v));
	kvfree(e->v);
	e->v = v;
	e->cap = cap;
	return 0;
}

static int extents_reserve_batch(struct ghvm_extents *e)
{
	if (e->cap - e->n >= BATCH)
		return 0;
	return extents_resize(e, ghvm_extents_room(e->n, BATCH));
}

#if GHVM_PINS_FILES

static unsigned int file_seals(struct file *file)
{
#ifdef CONFIG_HUGETLBFS
	if (is_file_hugepages(file))
		return HUGETLBFS_I(file_inode(file))->seals;
#endif
	return SHMEM_I(file_inode(file))->seals;
}

/* What mmap() of a shared mapping checks. No other file has pages without another owner. */
static int file_check(struct file *file, const struct ghvm_pin *arg)
{
	bool writes = !(arg->flags & GHVM_PIN_READONLY);
	fmode_t need = FMODE_READ | (writes ? FMODE_WRITE : 0);

	if (!shmem_file(file) && !is_file_hugepages(file))
		return -EINVAL;
	if ((file->f_mode & need) != need)
		return -EACCES;
	if (writes && file_seals(file) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	if (arg->start + arg->length > i_size_read(file_inode(file)))
		return -EFAULT;
	return 0;
}

/* memfd_pin_folios() would fill holes, but of hugetlbfs without its accounts of reserved pages. */
static int hugetlb_find_hole(struct file *file, u64 at, u64 end)
{
	struct folio *folio;

	for (; at < end; cond_resched()) {
		folio = filemap_get_folio(file->f_mapping, at >> PAGE_SHIFT);
		if (IS_ERR(folio))
			return -ENODATA;
		at = folio_pos(folio) + folio_size(folio);
		folio_put(folio);
	}
	return 0;
}

/*
 * Append the part of a pinned folio that begins at @at of the file, at most to @end. fallocate()
 * makes folios that are not up to date: they have what their last owner wrote, and the first access
 * clears them.
 */
static int folio_add(struct ghvm_extents *e, struct folio *folio, u64 *at, u64 end)
{
	u64 within = *at - folio_pos(folio), size = folio_size(folio), length;

	if (*at == end || within >= size)
		return -EBUSY;
	if (folio_test_hwpoison(folio) ||
	    (folio_test_large(folio) && folio_test_has_hwpoisoned(folio)))
		return -EHWPOISON;
	if (!folio_test_uptodate(folio))
		return -ENODATA;
	length = min(size - within, end - *at);
	ghvm_extents_add(e, PFN_PHYS(folio_pfn(folio)) + within, length);
	*at += length;
	return 0;
}

/* From the first error on, unpin the folios: they are in no extent. */
static int batch_add(struct ghvm_extents *e, struct folio **folios, long n, u64 *at, u64 end)
{
	int ret = 0;
	long i;

	for (i = 0; i < n; i++) {
		if (!ret)
			ret = folio_add(e, folios[i], at, end);
		if (ret)
			unpin_folio(folios[i]);
	}
	return ret;
}

/* Each batch begins at the end of the last one's last folio, so no folio is pinned twice. */
static int folios_pin(struct ghvm_extents *e, struct file *file, u64 at, u64 end)
{
	struct folio *folios[BATCH];
	pgoff_t within;
	int ret;
	long n;

	while (at < end) {
		ret = extents_reserve_batch(e);
		if (ret)
			return ret;
		n = memfd_pin_folios(file, at, end - 1, folios, BATCH, &within);
		if (n <= 0)
			return n ?: -EFAULT;
		ret = batch_add(e, folios, n, &at, end);
		if (ret)
			return ret;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/*
 * With the inode locked no seal is added and no page leaves the file. A process may hold the lock
 * for as long as it likes, by a write() from memory that another process serves: do not wait.
 */
static int file_pin(struct ghvm_pin_file *pin, struct file *file, const struct ghvm_pin *arg)
{
	struct inode *inode = file_inode(file);
	u64 end = arg->start + arg->length;
	int ret;

	if (!inode_trylock_shared(inode))
		return -EBUSY;
	ret = file_check(file, arg);
	if (!ret && is_file_hugepages(file))
		ret = hugetlb_find_hole(file, arg->start, end);
	if (!ret)
		ret = folios_pin(&pin->extents, file, arg->start, end);
	inode_unlock_shared(inode);
	return ret;
}

static int pages_pin(struct ghvm_pin_file *pin, const struct ghvm_pin *arg)
{
	struct file *file = fget(arg->memfd);
	int ret;

	if (!file)
		return -EBADF;
	ret = file_pin(pin, file, arg);
	fput(file);
	return ret;
}

/* Unpin the folio at @pa. Return: bytes from there to its end. */
static u64 folio_unpin(u64 pa)
{
	struct folio *folio = page_folio(pfn_to_page(PHYS_PFN(pa)));
	u64 n = PFN_PHYS(folio_pfn(folio)) + folio_size(folio) - pa;

	if (!folio_test_dirty(folio)) {
		folio_lock(folio);
		folio_mark_dirty(folio);
		folio_unlock(folio);
	}
	unpin_folio(folio);
	return n;
}

/* All of a folio that is pinned is in one extent. A pinned folio is not split. */
static void extent_unpin(const struct ghvm_extent *x)
{
	u64 done = 0, until;

	while (done < x->length) {
		for (until = done + CHUNK; done < min(until, x->length);)
			done += folio_unpin(x->pa + done);
		cond_resched();
	}
}

#else

/* Anonymous, shared and huge memory has no other owner that might access a guest's page. */
static bool vma_pinnable(const struct vm_area_struct *vma)
{
	if (vma->vm_flags & (VM_IO | VM_PFNMAP))
		return false;
	if (!vma->vm_file || vma->vm_flags & VM_HUGETLB)
		return true;
	return file_inode(vma->vm_file)->i_sb->s_magic == TMPFS_MAGIC;
}

static bool range_pinnable(struct mm_struct *mm, unsigned long va, unsigned long end)
{
	struct vm_area_struct *vma;

	for (; va < end; va = vma->vm_end) {
		vma = find_vma(mm, va);
		if (!vma || vma->vm_start > va || !vma_pinnable(vma))
			return false;
	}
	return true;
}

/* Return: number of pages pinned, at least one; or a negative errno. */
static long pin_batch(unsigned long va, unsigned long n, struct page **pages)
{
	struct mm_struct *mm = current->mm;
	long ret = -EFAULT;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	if (range_pinnable(mm, va, va + n * PAGE_SIZE))
		ret = ghvm_pin_user_pages(va, n, FOLL_WRITE | FOLL_LONGTERM, pages);
	mmap_read_unlock(mm);
	return ret ?: -EFAULT;
}

/* Append all pinned pages, also on failure, so that they are unpinned with the rest. */
static int batch_add(struct ghvm_extents *e, struct page **pages, long n)
{
	int ret = 0;
	long i;

	for (i = 0; i < n; i++) {
		if (is_zero_pfn(page_to_pfn(pages[i])))
			ret = -EFAULT;
		ghvm_extents_add(e, page_to_phys(pages[i]), PAGE_SIZE);
	}
	return ret;
}

static int pages_pin(struct ghvm_pin_file *pin, const struct ghvm_pin *arg)
{
	struct page *pages[BATCH];
	unsigned long va = arg->start, end = va + arg->length;
	int ret;
	long n;

	if (arg->flags || arg->memfd != -1)
		return -EOPNOTSUPP;
	if (end > TASK_SIZE)
		return -EFAULT;
	for (; va < end; va += n * PAGE_SIZE) {
		ret = extents_reserve_batch(&pin->extents);
		if (ret)
			return ret;
		n = pin_batch(va, min_t(unsigned long, BATCH, (end - va) >> PAGE_SHIFT), pages);
		if (n < 0)
			return n;
		ret = batch_add(&pin->extents, pages, n);
		if (ret)
			return ret;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static void extent_unpin(const struct ghvm_extent *x)
{
	u64 done, n;

	for (done = 0; done < x->length; done += n) {
		n = min_t(u64, x->length - done, CHUNK);
		unpin_user_page_range_dirty_lock(pfn_to_page(PHYS_PFN(x->pa + done)),
						 n >> PAGE_SHIFT, true);
		cond_resched();
	}
}

#endif

int ghvm_pages_pin(struct ghvm_pin_file *pin, const struct ghvm_pin *arg)
{
	int ret = pages_pin(pin, arg);

	if (!ret)
		extents_resize(&pin->extents,
			       pin->extents.n); /* shrink: a pin may exist for years */
	return ret;
}

void ghvm_pages_unpin(struct ghvm_pin_file *pin)
{
	u64 i;

	for (i = 0; i < pin->extents.n; i++)
		extent_unpin(&pin->extents.v[i]);
	kvfree(pin->extents.v);
}
