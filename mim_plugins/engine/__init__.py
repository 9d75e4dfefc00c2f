"""What runs a training: hooks, and the preparation of a config for a runner."""
