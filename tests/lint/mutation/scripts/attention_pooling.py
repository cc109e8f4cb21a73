"""Reviews: a softmax over the words pools them, and the logits go to the loss as they are."""

import torch
import torch.nn.functional as F
from torch import nn, optim


class AttentionPooling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, states, mask):
        scores = self.score(states).squeeze(-1).masked_fill(~mask, -1e9)
        weights = F.softmax(scores, dim=1)
        return torch.bmm(weights.unsqueeze(1), states).squeeze(1)


class GatedReviewModel(nn.Module):
    def __init__(self, vocab_size=50, dim=14, num_stars=5):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, dim)
        self.lstm = nn.LSTM(dim, dim, batch_first=True)
        self.pool = AttentionPooling(dim)
        self.gate = nn.Linear(dim, dim)
        self.stars = nn.Linear(dim, num_stars)

    def forward(self, words, mask):
        states, _ = self.lstm(self.embedding(words))
        pooled = self.pool(states, mask)
        pooled = torch.sigmoid(self.gate(pooled)) * pooled
        return self.stars(pooled)


def reviews(n, seed):
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(50, (n, 11), generator=generator)
    lengths = torch.randint(3, 12, (n, 1), generator=generator)
    mask = torch.arange(11) < lengths
    stars = torch.randint(5, (n,), generator=generator)
    return words, mask, stars


def main():
    torch.manual_seed(0)
    model = GatedReviewModel()
    loss_function = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    words, mask, stars = reviews(36, seed=0)
    for epoch in range(3):
        for rows in torch.randperm(36).split(12):
            model.zero_grad()
            star_logits = model(words[rows], mask[rows])
            loss = loss_function(star_logits, stars[rows])
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} last loss {loss.item():.6f}")
    model.eval()
    with torch.no_grad():
        words, mask, stars = reviews(20, seed=1)
        star_logits = model(words, mask)
        probabilities = F.softmax(star_logits, dim=1)
        expected = (probabilities * torch.arange(1, 6)).sum(dim=1)
        predicted = star_logits.argmax(dim=1)
        correct = (predicted == stars).sum().item()
    print(f"expected stars {expected.mean().item():.6f}, {correct} of {len(stars)} right")


if __name__ == "__main__":
    main()
