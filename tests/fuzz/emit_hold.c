// SPDX-License-Identifier: GPL-2.0-only
/* Instructions that acquire and release things */
#include <stddef.h>
#include "emitter.h"

#define LOCK_OFF 8	/* of the lock in a value of its map */
#define GARBAGE 0x5a
#define NULL_COOKIE 0x6e

static void load_value(struct emitter *em, int reg, int map)
{
	emit(em, INSN(BPF_LD | BPF_IMM | BPF_DW, reg, BPF_PSEUDO_MAP_VALUE, 0, map));
	emit(em, INSN(0, 0, 0, 0, 0));
}

static int slot_of(const struct emitter *em, const struct holder *h)
{
	return em->first_free + 8 * h->slot;
}

static void put(struct emitter *em, const struct holder *h, int place, int reg)
{
	if (place == ON_STACK)
		emit(em, STORE_REG(BPF_REG_10, -slot_of(em, h), reg));
	else if (place != reg)
		emit(em, MOV_REG(place, reg));
}

static void put_null(struct emitter *em, const struct holder *h)
{
	if (h->reg == ON_STACK)
		emit(em, STORE_IMM(BPF_REG_10, -slot_of(em, h), 0));
	else
		emit(em, MOV_IMM(h->reg, 0));
}

static void get(struct emitter *em, const struct holder *h, int place, int reg)
{
	if (place == ON_STACK)
		emit(em, LOAD(reg, BPF_REG_10, -slot_of(em, h)));
	else if (place != reg)
		emit(em, MOV_REG(reg, place));
}

static void key_address(struct emitter *em, int reg)
{
	emit(em, STORE_IMM(BPF_REG_10, -em->key_slot, 0));
	emit(em, MOV_REG(reg, BPF_REG_10));
	emit(em, ALU_IMM(BPF_ADD, reg, -em->key_slot));
}

/* A dynptr has two slots, and its address is the lower one's */
static void dynptr_address(struct emitter *em, const struct holder *h, int reg)
{
	emit(em, MOV_REG(reg, BPF_REG_10));
	emit(em, ALU_IMM(BPF_ADD, reg, -slot_of(em, h) - 8));
}

static void reserve_dynptr(struct emitter *em, const struct holder *h)
{
	builder_load_map(em->b, BPF_REG_1, em->maps->things.ringbuf);
	emit(em, MOV_IMM(BPF_REG_2, 8));
	emit(em, MOV_IMM(BPF_REG_3, 0));
	dynptr_address(em, h, BPF_REG_4);
	emit(em, CALL_HELPER(BPF_FUNC_ringbuf_reserve_dynptr));
}

/* Put r2 into the map, and have in r0 what was there */
static void exchange(struct emitter *em)
{
	load_value(em, BPF_REG_1, em->maps->things.kept);
	emit(em, CALL_HELPER(BPF_FUNC_kptr_xchg));
}

/* Have the object in r0 go into the map, which is empty, and out of it again */
static void exchange_object(struct emitter *em)
{
	int none = leap(em, JUMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0)), empty;

	emit(em, MOV_REG(BPF_REG_2, BPF_REG_0));
	exchange(em);
	empty = leap(em, JUMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
	emit(em, MOV_REG(BPF_REG_1, BPF_REG_0));
	builder_call_kfunc(em->b, KFUNC_RELEASE);
	land(em, empty);
	emit(em, MOV_IMM(BPF_REG_2, 0));
	exchange(em);
	land(em, none);
}

/* The thing in r0, or NULL */
static void acquire(struct emitter *em, const struct holder *h)
{
	switch (h->thing) {
	case THING_SOCKET:
		use_key(em, em->maps->things.sockets, 0, BPF_FUNC_map_lookup_elem);
		break;
	case THING_OBJECT:
		key_address(em, BPF_REG_1);
		builder_call_kfunc(em->b, KFUNC_ACQUIRE);
		if (h->exchanged)
			exchange_object(em);
		break;
	default:
		reserve_record(em);
	}
}

/* Where r0 is NULL, which it isn't, throw */
static void throw_if_null(struct emitter *em)
{
	int over;

	if (em->shared && em->nr_to_shared < JUMPS_MAX) {
		em->to_shared[em->nr_to_shared++] = leap(em, JUMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
		return;
	}
	over = leap(em, JUMP_IMM(BPF_JNE, BPF_REG_0, 0, 0));
	emit(em, MOV_IMM(BPF_REG_1, NULL_COOKIE));
	builder_call_kfunc(em->b, KFUNC_THROW);
	land(em, over);
}

static void take(struct emitter *em, const struct holder *h)
{
	int none = -1, is_null = -1, done;

	if (h->thing == THING_DYNPTR) {
		reserve_dynptr(em, h);
		return;
	}
	if (h->input) {
		load_field(em, BPF_REG_3, offsetof(struct state, in[h->input]));
		none = leap(em, JUMP_IMM(BPF_JNE, BPF_REG_3, h->limit, 0));
	}
	acquire(em, h);
	if (h->null == NULL_THROWS)
		throw_if_null(em);
	else if (h->null == NULL_KEPT)
		is_null = leap(em, JUMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
	if (h->off)
		emit(em, ALU_IMM(BPF_ADD, BPF_REG_0, h->off));
	put(em, h, h->reg, BPF_REG_0);
	/* the only copy, then */
	if (h->reg != BPF_REG_0)
		emit(em, MOV_IMM(BPF_REG_0, GARBAGE));
	if (none < 0 && is_null < 0)
		return;
	done = leap(em, JUMP(0));
	land(em, none);
	land(em, is_null);
	put_null(em, h);
	land(em, done);
}

static void drop(struct emitter *em, const struct holder *h)
{
	int is_null = -1;

	if (h->thing == THING_DYNPTR) {
		dynptr_address(em, h, BPF_REG_1);
		emit(em, MOV_IMM(BPF_REG_2, 0));
		emit(em, CALL_HELPER(BPF_FUNC_ringbuf_discard_dynptr));
		return;
	}
	get(em, h, h->reg, BPF_REG_1);
	if (h->input || h->null != NULL_THROWS)
		is_null = leap(em, JUMP_IMM(BPF_JEQ, BPF_REG_1, 0, 0));
	if (h->off)
		emit(em, ALU_IMM(BPF_ADD, BPF_REG_1, -h->off));
	if (h->thing == THING_OBJECT) {
		builder_call_kfunc(em->b, KFUNC_RELEASE);
	} else if (h->thing == THING_SOCKET) {
		emit(em, CALL_HELPER(BPF_FUNC_sk_release));
	} else {
		emit(em, MOV_IMM(BPF_REG_2, 0));
		emit(em, CALL_HELPER(BPF_FUNC_ringbuf_discard));
	}
	land(em, is_null);
}

static void lock(struct emitter *em, const struct holder *h)
{
	if (h->index) {
		use_key(em, em->maps->things.locks, h->index - 1, BPF_FUNC_map_lookup_elem);
		throw_if_null(em);
	} else {
		load_value(em, BPF_REG_0, em->maps->things.lock);
	}
	put(em, h, h->keep, BPF_REG_0);
	emit(em, MOV_REG(BPF_REG_1, BPF_REG_0));
	emit(em, ALU_IMM(BPF_ADD, BPF_REG_1, LOCK_OFF));
	emit(em, CALL_HELPER(BPF_FUNC_spin_lock));
	if (h->reg != h->keep) {
		get(em, h, h->keep, h->reg);
		if (h->keep == ON_STACK)
			emit(em, STORE_IMM(BPF_REG_10, -slot_of(em, h), GARBAGE));
		else
			emit(em, MOV_IMM(h->keep, GARBAGE));
	}
	if (h->off)
		emit(em, ALU_IMM(BPF_ADD, h->reg, h->off));
}

static void unlock(struct emitter *em, const struct holder *h)
{
	get(em, h, h->reg, BPF_REG_1);
	emit(em, ALU_IMM(BPF_ADD, BPF_REG_1, LOCK_OFF - h->off));
	emit(em, CALL_HELPER(BPF_FUNC_spin_unlock));
}

void drop_all(struct emitter *em, __u8 holders)
{
	for (int i = 0; i < HOLDERS_MAX; i++)
		if (holders & 1 << i && em->f->holders[i].thing)
			drop(em, &em->f->holders[i]);
}

void change_holders(struct emitter *em, const struct step *s)
{
	__u8 next = active_holders(em->p, em->f, s, em->active);

	drop_all(em, em->active & ~next);
	for (int i = 0; i < HOLDERS_MAX; i++)
		if (next & ~em->active & 1 << i && em->f->holders[i].thing)
			take(em, &em->f->holders[i]);
	em->active = next;
}

void hold_for_throw(struct emitter *em, const struct step *s)
{
	if (s->hold.thing == THING_LOCK)
		lock(em, &s->hold);
	else if (s->hold.thing)
		take(em, &s->hold);
}

void drop_after_throw(struct emitter *em, const struct step *s)
{
	if (s->cond == ALWAYS)
		return;
	if (s->hold.thing == THING_LOCK)
		unlock(em, &s->hold);
	else if (s->hold.thing)
		drop(em, &s->hold);
}

void throw_losing(struct emitter *em, const struct step *s)
{
	int none, over;

	reserve_record(em);
	none = leap(em, JUMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
	load_field(em, BPF_REG_3, offsetof(struct state, in[1]));
	over = leap(em, JUMP_IMM(BPF_JNE, BPF_REG_3, 1, 0));
	emit(em, MOV_IMM(BPF_REG_1, 7));
	/* another pointer, a number, or NULL: that is for where nothing is held */
	if (s->add % 3 == 0)
		emit(em, MOV_REG(BPF_REG_0, BPF_REG_10));
	else
		emit(em, MOV_IMM(BPF_REG_0, s->add % 3 - 1));
	builder_call_kfunc(em->b, KFUNC_THROW);
	land(em, over);
	emit(em, MOV_REG(BPF_REG_1, BPF_REG_0));
	emit(em, MOV_IMM(BPF_REG_2, 0));
	emit(em, CALL_HELPER(BPF_FUNC_ringbuf_discard));
	land(em, none);
}
