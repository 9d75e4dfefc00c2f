from torch import nn


def plain_drop_rates(encoder: nn.Module) -> None:
    """Make an encoder's rates of stochastic depth Python numbers.

    Those of mmpretrain's plain ViTs are NumPy's, at each of which ``torch.compile`` would break its graph.
    """
    for module in encoder.modules():
        if hasattr(module, 'drop_prob'):
            module.drop_prob = float(module.drop_prob)
