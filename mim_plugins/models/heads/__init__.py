from .reconstruction import ReconstructionHead

__all__ = ['ReconstructionHead']
