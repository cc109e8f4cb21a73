"""Train the recipe model and report its perplexity."""

import math

import torch
from data import PAD, VOCAB, make_loader
from model import RecipeModel
from torch import nn

loss_fn = nn.CrossEntropyLoss(ignore_index=PAD)


def train_epoch(model, loader, optimizer):
    model.train()
    for inputs, targets in loader:
        logits = model(inputs)
        loss = loss_fn(logits.view(-1, VOCAB), targets.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    total_nll, total_tokens = 0.0, 0
    for inputs, targets in loader:
        logits = model(inputs)
        loss = loss_fn(logits.view(-1, VOCAB), targets.reshape(-1))
        n_tokens = (targets != PAD).sum().item()
        total_nll += loss.item() * n_tokens
        total_tokens += n_tokens
    return total_nll / total_tokens


@torch.no_grad()
def complete(model, tokens, steps):
    model.eval()
    for _ in range(steps):
        logits = model(tokens)[:, -1]
        logits[:, PAD] = float("-inf")
        probs = torch.softmax(logits, dim=-1)
        tokens = torch.cat([tokens, torch.multinomial(probs, 1)], dim=1)
    return tokens


def main():
    torch.manual_seed(0)
    model = RecipeModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for epoch in range(2):
        train_epoch(model, make_loader(7, seed=0), optimizer)
        nats = evaluate(model, make_loader(9, seed=1))
        perplexity = math.exp(nats)
        print(f"epoch {epoch} nats {nats:.6f} perplexity {perplexity:.6f}")
    print(complete(model, torch.tensor([[3, 5]]), 4).tolist())


if __name__ == "__main__":
    main()
