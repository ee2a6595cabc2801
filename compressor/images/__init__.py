"""Makes the images of a context cheaper: repeats, sizes, stale screenshots. Pillow is loaded only to decode one."""
