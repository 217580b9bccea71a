// SPDX-License-Identifier: Apache-2.0
//
// A child after fork allocates and frees a lot, inherited blocks too: it is untracked, inert and
// healthy, and nothing of it shows in its parent.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"

static void* volatile inherited[100];

static int child(void) {
  for (int i = 0; i < 100; ++i) free(inherited[i]);
  for (int i = 0; i < 1000; ++i) {
    char* volatile block = malloc(500);
    if (block == NULL) return 1;
    memset(block, i, 500);
  }
  return 17;
}

int main(void) {
  for (int i = 0; i < 100; ++i) {
    inherited[i] = malloc(400);
    truth(inherited[i], 400, "held", "malloc");
  }
  for (int round = 0; round < 3; ++round) {
    pid_t pid = fork();
    if (pid == 0) _exit(child());
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 17) return 4;
    truth(malloc(600), 600, "held", "malloc");
  }
  heapledger_stop_here();
  return 0;
}
