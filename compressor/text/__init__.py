"""Work on one text at a time: segmenters, lossless codecs, redaction and constraints."""
