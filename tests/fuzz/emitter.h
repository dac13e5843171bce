/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the emitter share */
#ifndef _FUZZ_EMITTER_H
#define _FUZZ_EMITTER_H

#include "emit.h"

#define JUMPS_MAX 64

/* A function while it is emitted */
struct emitter {
	struct emitted *e;
	struct builder *b;
	const struct prog *p;
	const struct func *f;
	const struct maps *maps;
	int func;
	/* distances below the frame pointer, or NO_SLOT */
	int x_slot, ctx_slot, canary_slot, key_slot, first_free;
	__u8 active;			/* holders, bit by bit */
	/* jumps to the throw that steps share, which is to come */
	const struct step *shared;
	int to_shared[JUMPS_MAX], nr_to_shared;
};

static inline void emit(struct emitter *em, struct bpf_insn insn)
{
	builder_emit(em->b, insn);
}

/* @reg: what is @off bytes into the state */
void load_field(struct emitter *em, int reg, size_t off);
/* Jump to what comes next, once land() says where that is */
int leap(struct emitter *em, struct bpf_insn insn);
void land(struct emitter *em, int from);
/* Reserve a record, in r0: a reference, or 0 */
void reserve_record(struct emitter *em);
/* Call with a key on the stack in r2 and map @map */
void use_key(struct emitter *em, int map, int key, int helper);

/* --- in emit_hold.c ---------------------------------------------------------------- */

/* Release and acquire what @s says, before it */
void change_holders(struct emitter *em, const struct step *s);
/* Release what is held at this place, where the function returns */
void drop_all(struct emitter *em, __u8 holders);
/* What a throw holds while it is decided whether to throw; and where it didn't */
void hold_for_throw(struct emitter *em, const struct step *s);
void drop_after_throw(struct emitter *em, const struct step *s);
/* Throw with the only copy of a reference overwritten, in what is fine if it doesn't throw */
void throw_losing(struct emitter *em, const struct step *s);

#endif /* _FUZZ_EMITTER_H */
