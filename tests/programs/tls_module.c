// SPDX-License-Identifier: Apache-2.0
//
// The library of dlopen_tls: one thread_local pointer, large enough not to fit into the loader's
// surplus of static TLS.
static __thread void* volatile kept[1024];

void tls_module_keep(void* block) { kept[512] = block; }
