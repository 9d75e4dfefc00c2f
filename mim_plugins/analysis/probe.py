"""What frozen features are worth: linear probe and nearest neighbours, through scikit-learn."""
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ..errors import InputError

Split = tuple[np.ndarray, np.ndarray]


def training_part(number: int, share: float, seed: int) -> np.ndarray:
    """Places of a random part of ``number`` samples, at least one of them."""
    return np.random.default_rng(seed).permutation(number)[:max(1, round(share * number))]


def standardized_regression(strength: float) -> Pipeline:
    """A logistic regression on standardised features; ``strength`` is the inverse of its L2 regularisation."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))


def linear_probe(train: Split, val: Split, seed: int, share: float = 0.9, strength: float = 0.1) -> float:
    """Top-1 accuracy of a logistic regression on standardised features.

    Args:
        train: Features [N, C] and labels [N].
        val: The same for the held-out part.
        seed: Chooses the part of the training features that is used.
        share: Size of that part, in (0, 1].
        strength: Inverse of the L2 regularisation.

    Returns:
        Accuracy in [0, 1].
    """
    features, labels = train
    part = training_part(len(labels), share, seed)
    if len(np.unique(labels[part])) < 2:
        raise InputError('a linear probe needs labelled images of at least two classes')
    probe = standardized_regression(strength)
    return float(probe.fit(features[part], labels[part]).score(*val))


def nearest_neighbours(train: Split, val: Split, k: int = 20) -> float:
    """Top-1 accuracy of a vote among the ``k`` training features nearest by cosine.

    Args:
        train: Features [N, C] and labels [N].
        val: The same for the held-out part.
        k: Voters; at most N are asked.

    Returns:
        Accuracy in [0, 1].
    """
    voters = KNeighborsClassifier(min(k, len(train[1])), metric='cosine')
    return float(voters.fit(*train).score(*val))
