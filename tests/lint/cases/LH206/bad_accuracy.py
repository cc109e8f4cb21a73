"""The largest scores compared with labels, in the ways that accuracies are written."""

import torch
from sklearn.metrics import accuracy_score, confusion_matrix
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
data = datasets.CIFAR10("data", train=False, transform=transforms.ToTensor())
loader = DataLoader(data, batch_size=100)


def test():
    correct = 0
    with torch.no_grad():
        for inputs, targets in loader:
            outputs = net(inputs)
            predicted = torch.max(outputs, 1)[0]
            correct += (predicted == targets).sum().item()  # expect: LH206
    return correct / len(data)


def error(outputs, labels):
    values, _ = outputs.softmax(dim=1).max(dim=1)
    return torch.ne(values, labels).float().mean()  # expect: LH206


def top_one(outputs, targets):
    best, _ = outputs.topk(1, dim=1)
    return best.t().eq(targets.view(1, -1)).float().mean()  # expect: LH206


def report():
    for inputs, targets in loader:
        predicted, _ = net(inputs).max(1)
        print(accuracy_score(targets.cpu(), predicted.cpu()))  # expect: LH206
        print(confusion_matrix(targets.numpy(), predicted.numpy()))  # expect: LH206


def class_by_class(outputs, labels):
    predicted, _ = torch.max(outputs.data, 1)
    hits = (predicted == labels).squeeze()  # expect: LH206
    return [hits[labels == c].float().mean() for c in range(10)]


def collected():
    predicted_all, labels_all = [], []
    for inputs, labels in loader:
        predicted, _ = torch.max(net(inputs), 1)
        predicted_all.extend(predicted.cpu().numpy())
        labels_all.extend(labels.cpu().numpy())
    return accuracy_score(labels_all, predicted_all)  # expect: LH206
