"""Several nodes wait for jobs on one condition, and a monitor proves that each is done once."""
