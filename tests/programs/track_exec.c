// SPDX-License-Identifier: Apache-2.0
//
// Runs itself again by exec: the new image is tracked anew, the old one's blocks are gone. With
// `vfork`, a child made by vfork runs /bin/true first.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"

static int vfork_a_child(void) {
  pid_t pid = vfork();
  if (pid == 0) {
    execl("/bin/true", "true", (char*)NULL);
    _exit(127);
  }
  int status = 0;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "vfork") == 0 && !vfork_a_child()) return 4;
  if (argc > 1 && strcmp(argv[1], "again") == 0) {
    truth(malloc(222), 222, "held", "malloc");
    heapledger_stop_here();
    return 0;
  }
  void* volatile old = malloc(111111);  // of the image that is replaced
  if (old == NULL) return 5;
  execl("/proc/self/exe", argv[0], "again", (char*)NULL);
  return 6;
}
