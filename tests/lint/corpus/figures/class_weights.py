# case: weights that fit: one per class with cross-entropy, pos_weight with BCE, per label, per example
import torch
import torch.nn.functional as F
from torch import nn

LABELS = ["cat", "dog", "bird", "fish"]


class Net(nn.Module):
    def __init__(self, n_out):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(9, 20), nn.ReLU(), nn.Linear(20, n_out))

    def forward(self, x):
        return self.fc(x)


def per_class(x, y):
    criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 1.5, 4.0]))
    return criterion(Net(len(LABELS))(x), y)


def inverse_frequency(x, y):
    counts = torch.bincount(y, minlength=4).float()
    weight = counts.sum() / (4 * counts.clamp(min=1))
    return F.cross_entropy(Net(4)(x), y, weight=weight)


def two_classes(x, y):
    return F.cross_entropy(Net(2)(x), y, weight=torch.tensor([0.2, 0.8]))


def positives(x, y):
    pos_weight = (y == 0).sum() / (y == 1).sum().clamp(min=1)
    criterion = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
    return criterion(Net(1)(x).squeeze(1), y.float())


def per_label(x, labels):
    """Five independent labels; the third matters most."""
    weight = torch.tensor([1.0, 1.0, 3.0, 1.0, 0.5])
    return F.binary_cross_entropy_with_logits(Net(5)(x), labels, weight=weight)


def per_element(x, labels, known):
    # unknown labels weigh nothing
    loss = F.binary_cross_entropy_with_logits(Net(5)(x), labels, weight=known, reduction="sum")
    return loss / known.sum()


def per_example(x, y, cost):
    return F.binary_cross_entropy_with_logits(Net(1)(x).squeeze(-1), y.float(), weight=cost)


def by_class_of_example(x, y):
    table = torch.tensor([0.2, 0.8])
    return F.binary_cross_entropy_with_logits(Net(1)(x).squeeze(-1), y.float(), weight=table[y])


if __name__ == "__main__":
    data = torch.randn(30, 9)
    four, two = torch.randint(4, (30,)), torch.randint(2, (30,))
    many = (torch.rand(30, 5) > 0.5).float()
    print(per_class(data, four).item(), inverse_frequency(data, four).item(), two_classes(data, two).item())
    print(positives(data, two).item(), per_label(data, many).item())
    print(per_element(data, many, (torch.rand(30, 5) > 0.2).float()).item())
    print(per_example(data, two, torch.rand(30)).item(), by_class_of_example(data, two).item())
