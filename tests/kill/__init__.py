"""kill -9 at every moment that matters, and at random ones: the next run ends where an undisturbed one would have."""
