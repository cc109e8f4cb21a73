# case: dtypes of targets that are right: long after float, bytes for ten classes, floats and bools for BCE
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, n_out):
        super().__init__()
        self.body = nn.Linear(16, 32)
        self.head = nn.Linear(32, n_out)

    def forward(self, x):
        return self.head(F.relu(self.body(x)))


def long_again(x):
    y = torch.randint(0, 10, (x.size(0),)).float()  # as the csv reader gives them
    return F.cross_entropy(Net(10)(x), y.long())


def bytes_of_ten(x):
    y = torch.randint(0, 10, (x.size(0),), dtype=torch.uint8)
    return F.cross_entropy(Net(10)(x), y)


def bool_to_index(x):
    y = (x.mean(dim=1) > 0).long()
    return nn.CrossEntropyLoss()(Net(2)(x), y)


def float_for_bce(x):
    y = torch.randint(0, 2, (x.size(0),)).float()
    return F.binary_cross_entropy_with_logits(Net(1)(x).squeeze(1), y)


def bool_mask_for_bce(x):
    labels = torch.rand(x.size(0), 5) > 0.8
    return nn.BCEWithLogitsLoss()(Net(5)(x), labels.to(x.dtype))


def probabilities_as_target(x):
    teacher, student = Net(10), Net(10)
    with torch.no_grad():
        soft = teacher(x).softmax(dim=-1)
    return F.cross_entropy(student(x), soft)


def float_regression(x):
    grade = torch.randint(0, 100, (x.size(0),)).float()
    return F.smooth_l1_loss(Net(1)(x).flatten(), grade)


if __name__ == "__main__":
    batch = torch.randn(24, 16)
    tasks = (long_again, bytes_of_ten, bool_to_index, float_for_bce, bool_mask_for_bce)
    for task in (*tasks, probabilities_as_target, float_regression):
        print(task.__name__, task(batch).item())
