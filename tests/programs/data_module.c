// SPDX-License-Identifier: Apache-2.0
//
// The library of dlclose_data, built twice: one global pointer.
void* volatile data_module_kept;

void data_module_keep(void* block) { data_module_kept = block; }
