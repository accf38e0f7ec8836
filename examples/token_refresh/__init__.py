"""Blocking workers that share one access token, and refresh it once instead of each for itself."""
