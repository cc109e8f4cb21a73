"""Siamese network with the contrastive loss on distances: no link function anywhere."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class SiameseNetwork(nn.Module):
    def __init__(self, embedding=4):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, embedding))

    def forward(self, x1, x2):
        return self.net(x1), self.net(x2)


class ContrastiveLoss(nn.Module):
    """label is 1 where the two are of different classes."""

    def __init__(self, margin=2.0):
        super().__init__()
        self.margin = margin

    def forward(self, output1, output2, label):
        distance = F.pairwise_distance(output1, output2)
        same = (1 - label) * torch.pow(distance, 2)
        different = label * torch.pow(torch.clamp(self.margin - distance, min=0.0), 2)
        return torch.mean(same + different)


def batch(size, centers):
    a, b = torch.randint(len(centers), (2, size))
    b = torch.where(torch.rand(size) < 0.4, a, b)
    noisy = centers[torch.stack([a, b])] + 0.4 * torch.randn(2, size, centers.size(1))
    return noisy[0], noisy[1], (a != b).float()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=60)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    centers = torch.randn(5, 20)
    net = SiameseNetwork()
    criterion = ContrastiveLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)

    counter, loss_history = [], []
    for iteration in range(args.iterations):
        img0, img1, label = batch(32, centers)
        optimizer.zero_grad()
        output1, output2 = net(img0, img1)
        loss_contrastive = criterion(output1, output2, label)
        loss_contrastive.backward()
        optimizer.step()
        if iteration % 10 == 0:
            print(f"Iteration {iteration}\n Current loss {loss_contrastive.item()}")
            counter.append(iteration)
            loss_history.append(loss_contrastive.item())

    net.eval()
    with torch.no_grad():
        img0, img1, label = batch(200, centers)
        distance = F.pairwise_distance(*net(img0, img1))
        predicted = distance > 1.0  # half the margin
        accuracy = (predicted == label.bool()).float().mean()
    print(f"accuracy at half the margin: {accuracy:.3f}")


if __name__ == "__main__":
    main()
