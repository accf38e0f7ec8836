"""Several nodes meet round after round, and a monitor proves that nobody leaves before all came."""
