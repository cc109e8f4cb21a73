"""Indices where classes are meant, and values where values are."""

from sklearn.metrics import accuracy_score
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
loader = DataLoader(datasets.CIFAR10("data", transform=transforms.ToTensor()), batch_size=100)


def test():
    correct = 0
    for inputs, targets in loader:
        confidence, predicted = net(inputs).softmax(dim=1).max(1)
        correct += ((predicted == targets) & (confidence > 0.5)).sum().item()
        print(accuracy_score(targets.cpu(), predicted.cpu()), confidence.mean())
    return correct


def is_best(scores, chosen):
    return scores.max(dim=1)[0] == scores.gather(1, chosen[:, None]).squeeze(1)


def saturated(image):
    return image.amax(dim=(1, 2)) == 255


def q_target(reward, next_q, gamma, done):
    return reward + gamma * next_q.max(1)[0] * (1 - done)


def longest(lengths, target):
    top, _ = lengths.max(dim=1)
    return top == target


def top_five(outputs, labels):
    _, best = outputs.topk(5, dim=1)
    return (best == labels[:, None]).any(dim=1).float().mean()


def collected():
    predicted_all, labels_all, sure = [], [], []
    for inputs, labels in loader:
        confidence, predicted = net(inputs).softmax(dim=1).max(1)
        predicted_all.extend(predicted.cpu().numpy())
        labels_all.extend(labels.cpu().numpy())
        sure += confidence.tolist()
    return accuracy_score(labels_all, predicted_all), sum(sure) / len(sure)
