// SPDX-License-Identifier: Apache-2.0
//
// The library of track_constructors: allocates when it is initialised.
#include <stdlib.h>

void* constructors_module_block;

__attribute__((constructor)) static void initialise(void) { constructors_module_block = malloc(4321); }
