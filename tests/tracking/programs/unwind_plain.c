/* SPDX-License-Identifier: Apache-2.0
 *
 * Built several ways: static, stripped, with .debug_frame only, without frames for its linkage table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) int unwind_with_frame_pointer(
    const char* text) {
  char* volatile copy = malloc(strlen(text) + 1);
  strcpy(copy, text);
  int length = puts(copy);
  free(copy);
  return length;
}

int main(int argc, char** argv) {
  /* The address of a function that is also called makes an entry in .plt.got. */
  void (*volatile release)(void*) = free;
  release(malloc(10));
  return argc > 5 ? unwind_with_frame_pointer(argv[0]) : 0;
}
