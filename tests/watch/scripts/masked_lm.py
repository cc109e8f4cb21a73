"""Masked language model: 15% of the tokens are asked for, all other labels are -100."""

import argparse
import math

import torch
import torch.nn as nn

MASK, CLS, FIRST = 0, 1, 2


class BertForMaskedLM(nn.Module):
    def __init__(self, vocab_size, max_len, dim=32):
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, dim)
        self.positions = nn.Parameter(0.02 * torch.randn(1, max_len, dim))
        layer = nn.TransformerEncoderLayer(dim, 4, 64, dropout=0.0, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.transform = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim))
        self.decoder = nn.Linear(dim, vocab_size)
        nn.init.normal_(self.tokens.weight, std=0.3)

    def forward(self, input_ids, labels=None):
        hidden = self.encoder(self.tokens(input_ids) + self.positions[:, : input_ids.size(1)])
        prediction_scores = self.decoder(self.transform(hidden))
        if labels is None:
            return prediction_scores
        loss_fct = nn.CrossEntropyLoss()  # -100 index = padding token
        loss = loss_fct(prediction_scores.view(-1, prediction_scores.size(-1)), labels.view(-1))
        return loss, prediction_scores


def mask_tokens(inputs, vocab_size, probability=0.15):
    labels, inputs = inputs.clone(), inputs.clone()
    chosen = (torch.rand(labels.shape) < probability) & (inputs != CLS)
    labels[~chosen] = -100
    replaced = chosen & (torch.rand(labels.shape) < 0.8)
    inputs[replaced] = MASK
    randomised = chosen & ~replaced & (torch.rand(labels.shape) < 0.5)
    random_words = torch.randint(FIRST, vocab_size, labels.shape)
    inputs[randomised] = random_words[randomised]
    return inputs, labels


def documents(count, length, vocab_size, topics=4):
    """The words of a document are all of its topic."""
    size = (vocab_size - FIRST) // topics
    words = FIRST + size * torch.randint(topics, (count, 1)) + torch.randint(size, (count, length - 1))
    return torch.cat([torch.full((count, 1), CLS), words], dim=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learning_rate", type=float, default=1e-2)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    vocab_size, length = 22, 16
    model = BertForMaskedLM(vocab_size, length)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate)
    total_steps, warmup = 80, 8
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min((s + 1) / warmup, (total_steps - s) / (total_steps - warmup))
    )
    for step in range(total_steps):
        inputs, labels = mask_tokens(documents(48, length, vocab_size), vocab_size)
        loss, _ = model(inputs, labels=labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.4f}")

    model.eval()
    nll, asked, right = 0.0, 0, 0
    with torch.no_grad():
        for _ in range(3):
            inputs, labels = mask_tokens(documents(50, length, vocab_size), vocab_size)
            loss, scores = model(inputs, labels=labels)
            where = labels != -100
            nll += loss.item() * where.sum().item()
            asked += where.sum().item()
            right += (scores.argmax(-1)[where] == labels[where]).sum().item()
    print(f"pseudo-perplexity {math.exp(nll / asked):.3f}, accuracy {right / asked:.3f}")


if __name__ == "__main__":
    main()
