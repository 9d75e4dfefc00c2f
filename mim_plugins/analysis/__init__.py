"""Looking at a model: features and probes, pictures, curves. Importable functions, no registry."""
