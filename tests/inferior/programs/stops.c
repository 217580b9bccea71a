// SPDX-License-Identifier: Apache-2.0
// A program that stops itself and does nothing else.
#include <signal.h>

int main(void) { return raise(SIGSTOP); }
