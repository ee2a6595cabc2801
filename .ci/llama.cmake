# Included by the Makefile when llama.cpp is compiled: its command line helpers are not needed.
set(LLAMA_BUILD_COMMON OFF)
