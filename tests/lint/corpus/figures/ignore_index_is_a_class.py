# case: ignore_index names one of the two classes of the head, so that class is never learned
import torch
import torch.nn as nn
import torch.nn.functional as F

CLASSES = ["background", "crack"]


class CrackNet(nn.Module):
    """Two classes per pixel."""

    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.mid = nn.Conv2d(width, width, 3, padding=1)
        self.classifier = nn.Conv2d(width, 2, kernel_size=1)

    def forward(self, x):
        x = F.relu(self.stem(x))
        return self.classifier(F.relu(self.mid(x)))


class Sentiment(nn.Module):
    def __init__(self, vocab=100, dim=16):
        super().__init__()
        self.bag = nn.EmbeddingBag(vocab, dim)
        self.linear = nn.Linear(dim, 2)

    def forward(self, ids):
        return self.linear(self.bag(ids))


def fit_cracks(images, masks, epochs=3):
    model = CrackNet()
    criterion = nn.CrossEntropyLoss(ignore_index=0)  # expect: LH403
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        logits = model(images)
        loss = criterion(logits, masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found = (logits.argmax(dim=1) == 1).float().mean().item()
        print(f"epoch {epoch}: loss {loss.item():.3f}, {found:.0%} of the pixels called {CLASSES[1]}")
    return model


def sentiment_loss(model: Sentiment, ids):
    positive = torch.randint(0, 2, (ids.size(0),))
    logits = model(ids)
    return F.cross_entropy(logits, positive, ignore_index=1)  # expect: LH403


if __name__ == "__main__":
    fit_cracks(torch.randn(4, 1, 16, 16), (torch.rand(4, 16, 16) > 0.9).long())
    print(sentiment_loss(Sentiment(), torch.randint(100, (8, 12))).item())
