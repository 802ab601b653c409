"""Settings of the shop's workers: one module for each pair of broker and result backend."""
