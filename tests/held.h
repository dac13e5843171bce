/* SPDX-License-Identifier: GPL-2.0-only */
/* Things for BPF programs to hold, and how many of them are held */
#ifndef _HELD_H
#define _HELD_H

struct bpf_sock_tuple;

/* Have a TCP connection, and say how a program finds its socket; return 0, or -1 and errno */
int held_connect(struct bpf_sock_tuple *tuple);
/* A sockmap of 4 that has it at index 0; return its fd, or -1 and errno */
int held_sockmap(void);
/* References to that socket, or -1 and errno */
int held_sockets(void);
/*
 * Bytes of a ring buffer from the first record on that is reserved, neither submitted nor
 * discarded; those before it are consumed. -1 and errno if that can't be told.
 */
long held_records(int map_fd);
/* An array of @cnt values of 16 bytes, with a lock 8 bytes in; return its fd, or -1 and errno */
int held_locks(int cnt);

#endif /* _HELD_H */
