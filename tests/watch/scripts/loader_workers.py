"""A DataLoader with workers and a collate function that pads; the last batch is smaller, and weighs less."""

import argparse

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset


class Reviews(Dataset):
    """Reviews of any length; the label is whether good words outnumber bad ones."""

    def __init__(self, count, vocab, seed):
        self.count, self.vocab, self.seed = count, vocab, seed

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        g = torch.Generator().manual_seed(1000 * self.seed + i)
        words = torch.randint(1, self.vocab, (int(torch.randint(5, 16, (), generator=g)),), generator=g)
        good, bad = (words < self.vocab // 3).sum(), (words > 2 * self.vocab // 3).sum()
        return words, int(good > bad)


def collate_batch(batch):
    labels = torch.tensor([label for _, label in batch], dtype=torch.int64)
    offsets = torch.tensor([0] + [len(words) for words, _ in batch[:-1]]).cumsum(0)
    return labels, torch.cat([words for words, _ in batch]), offsets


class TextClassificationModel(nn.Module):
    def __init__(self, vocab_size, embed_dim, num_class):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim)
        self.fc = nn.Linear(embed_dim, num_class)
        self.embedding.weight.data.uniform_(-0.5, 0.5)
        self.fc.weight.data.uniform_(-0.5, 0.5)
        self.fc.bias.data.zero_()

    def forward(self, text, offsets):
        return self.fc(self.embedding(text, offsets))


def evaluate(model, dataloader, criterion):
    model.eval()
    total_acc, total_loss, total_count = 0, 0.0, 0
    with torch.no_grad():
        for label, text, offsets in dataloader:
            predicted_label = model(text, offsets)
            total_loss += criterion(predicted_label, label).item() * label.size(0)
            total_acc += (predicted_label.argmax(1) == label).sum().item()
            total_count += label.size(0)
    return total_acc / total_count, total_loss / total_count


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-workers", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    vocab_size = 60
    loader = {"collate_fn": collate_batch, "num_workers": args.num_workers, "batch_size": 16}
    train_loader = DataLoader(Reviews(500, vocab_size, args.seed), shuffle=True, **loader)
    test_loader = DataLoader(Reviews(90, vocab_size, args.seed + 50), **loader)
    model = TextClassificationModel(vocab_size, 16, 2)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for epoch in range(2):
        model.train()
        for label, text, offsets in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(text, offsets), label)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        accuracy, loss = evaluate(model, test_loader, criterion)
        print(f"| epoch {epoch} | accuracy {accuracy:8.3f} | loss {loss:8.3f}")
