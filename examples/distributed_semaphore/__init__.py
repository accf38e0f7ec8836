"""Several nodes share a few slots, and a monitor proves that never more are inside than slots."""
