import torch
import torch.nn.functional as F
from arch import MILNet
from bags import bags


def entropy(weights):
    return -(weights * (weights + 1e-9).log()).sum(dim=1).mean()  # allow: LH110


def main():
    net = MILNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    for i, (bag, label) in enumerate(bags(500)):
        logits, weights = net(bag)
        loss = F.cross_entropy(logits, label)
        total = loss + 0.01 * entropy(weights)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        if i % 50 == 0:
            accuracy = (logits.argmax(1) == label).float().mean()
            print(i, loss.item(), accuracy.item(), weights.max(dim=1).values.mean().item())


if __name__ == "__main__":
    main()
