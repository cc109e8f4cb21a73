import torch

N_FEATURES = 13


def make_split(n=1000):
    features = torch.randn(n, N_FEATURES)
    weight = torch.randn(N_FEATURES)
    price = features @ weight + 0.1 * torch.randn(n)
    return features, price
