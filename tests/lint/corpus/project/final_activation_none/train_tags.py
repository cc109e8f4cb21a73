import kit
import torch
from torch import nn

TAGS = ["cloud", "water", "road", "forest", "field", "town"]


def fake_batch(size=8):
    return torch.rand(size, 3, 96, 96), (torch.rand(size, len(TAGS)) > 0.7).float()


def main():
    model = kit.Tagger(len(TAGS))
    criterion = nn.BCEWithLogitsLoss()
    optim = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for step in range(500):
        x, tags = fake_batch()
        loss = criterion(model(x), tags)
        optim.zero_grad()
        loss.backward()
        optim.step()
        if step % 50 == 0:
            with torch.no_grad():
                found = model(x) > 0
            print(step, loss.item(), (found == tags.bool()).float().mean().item())
    torch.save(model.state_dict(), "tagger.pt")


if __name__ == "__main__":
    main()
