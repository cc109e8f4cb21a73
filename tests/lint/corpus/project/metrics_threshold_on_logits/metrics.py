import torch


def binary_accuracy(outputs, labels):
    predicted = (outputs > 0.5).float()  # expect: LH113
    return (predicted == labels).float().mean().item()


def positive_rate(labels):
    return torch.as_tensor(labels).float().mean().item()
