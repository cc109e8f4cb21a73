import torch


def bags(n, size=20, d_in=512, n_classes=3):
    for _ in range(n):
        label = torch.randint(n_classes, (8,))
        bag = torch.randn(8, size, d_in)
        bag[:, 0, :n_classes] += 3 * torch.nn.functional.one_hot(label, n_classes)
        yield bag, label
