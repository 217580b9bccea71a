// SPDX-License-Identifier: Apache-2.0
// A library to load twice, or to delete while it is loaded. An indirect, a local and a plain function.
static int local_function(int x) { return x * 3; }

int library_function(int x) { return local_function(x) + 1; }

static int chosen(int x) { return x; }
static int (*choose(void))(int) { return chosen; }
int indirect_function(int x) __attribute__((ifunc("choose")));

int library_data[10] = {1};
_Thread_local int library_thread_data = 1;
