"""Tagging with a mask: losses times mask over the mask's sum; the padding holds 0, which is also a tag."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

NUM_TAGS, VOCAB = 4, 30


class CNNTagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 24, padding_idx=0)
        self.conv = nn.Conv1d(24, 48, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(48, NUM_TAGS)

    def forward(self, token_ids):
        h = self.embed(token_ids).transpose(1, 2)
        h = F.gelu(self.conv(h)).transpose(1, 2)
        return self.fc(self.dropout(h))


def make_batch(batch_size, max_len=14):
    lengths = torch.randint(4, max_len + 1, (batch_size,))
    mask = torch.arange(max_len)[None, :] < lengths[:, None]
    token_ids = torch.randint(1, VOCAB, (batch_size, max_len)) * mask
    before = torch.cat([torch.zeros(batch_size, 1, dtype=torch.long), token_ids[:, :-1]], dim=1)
    tags = ((token_ids + before) % NUM_TAGS) * (token_ids % 3 > 0) * mask  # 0 for most words, and for padding
    return token_ids, tags, mask.float()


def masked_loss(logits, tags, mask):
    per_token = F.cross_entropy(logits.transpose(1, 2), tags, reduction="none")
    return (per_token * mask).sum() / mask.sum()


def train_step(model, optimizer, batch):
    token_ids, tags, mask = batch
    model.train()
    optimizer.zero_grad()
    loss = masked_loss(model(token_ids), tags, mask)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.no_grad()
def evaluate(model, batches):
    model.eval()
    total, count, hits = 0.0, 0.0, 0.0
    for token_ids, tags, mask in batches:
        logits = model(token_ids)
        total += masked_loss(logits, tags, mask).item() * mask.sum().item()
        count += mask.sum().item()
        hits += ((logits.argmax(-1) == tags) * mask).sum().item()
    return total / count, hits / count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=2e-2)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    model = CNNTagger()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    held_out = [make_batch(32) for _ in range(3)]
    for step in range(80):
        loss = train_step(model, optimizer, make_batch(32))
        if step % 20 == 19:
            val_loss, accuracy = evaluate(model, held_out)
            print(f"step {step + 1:3d}  train {loss:.3f}  val {val_loss:.3f}  accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
