"""Several nodes count in Redis under one lock, and a monitor proves that no update is lost."""
