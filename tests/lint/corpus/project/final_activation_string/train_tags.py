import kit
import torch
from torch import nn

TAGS = ["cloud", "water", "road", "forest", "field", "town"]


def fake_batch(size=8):
    return torch.rand(size, 3, 96, 96), (torch.rand(size, len(TAGS)) > 0.7).float()


def main():
    model = kit.Tagger(len(TAGS), final_activation="sigmoid")
    criterion = nn.BCEWithLogitsLoss(reduction="mean")
    optim = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    scheduler = torch.optim.lr_scheduler.StepLR(optim, 30)

    for epoch in range(90):
        model.train()
        for _ in range(50):
            x, tags = fake_batch()
            prediction = model(x)
            loss = criterion(prediction, tags)  # expect: LH106
            optim.zero_grad()
            loss.backward()
            optim.step()
        scheduler.step()

        model.eval()
        with torch.no_grad():
            x, tags = fake_batch(64)
            found = model(x) > 0.5
            recall = (found & tags.bool()).sum() / tags.sum().clamp(min=1)
        print(f"{epoch:3d} {loss.item():.4f} recall {recall.item():.3f}")


if __name__ == "__main__":
    main()
