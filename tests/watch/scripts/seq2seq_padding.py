"""Sequence to sequence with attention: padded batches, the padding's id in the vocabulary is ignored."""

import argparse
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

PAD, SOS, EOS = 0, 1, 2


class Encoder(nn.Module):
    def __init__(self, vocab, hidden):
        super().__init__()
        self.embedding = nn.Embedding(vocab, hidden, padding_idx=PAD)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)

    def forward(self, src):
        return self.gru(self.embedding(src))


class AttnDecoder(nn.Module):
    def __init__(self, vocab, hidden):
        super().__init__()
        self.embedding = nn.Embedding(vocab, hidden, padding_idx=PAD)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.out = nn.Linear(2 * hidden, vocab)

    def forward(self, inputs, hidden, encoder_outputs, src_mask):
        output, hidden = self.gru(self.embedding(inputs), hidden)
        scores = torch.bmm(output, encoder_outputs.transpose(1, 2))
        scores = scores.masked_fill(~src_mask.unsqueeze(1), float("-inf"))
        attn_weights = F.softmax(scores, dim=-1)
        context = torch.bmm(attn_weights, encoder_outputs)
        return self.out(torch.cat([output, context], dim=-1)), hidden, attn_weights


def pairs(count, vocab, rng):
    """The target is the source backwards, each word one further in the alphabet."""
    sources, targets = [], []
    for _ in range(count):
        words = [rng.randrange(3, vocab) for _ in range(rng.randint(2, 6))]
        sources.append(torch.tensor([*words, EOS]))
        shifted = [3 + (w - 2) % (vocab - 3) for w in reversed(words)]
        targets.append(torch.tensor([SOS, *shifted, EOS]))
    return sources, targets


def collate(sources, targets):
    src = pad_sequence(sources, batch_first=True, padding_value=PAD)
    tgt = pad_sequence(targets, batch_first=True, padding_value=PAD)
    return src, src != PAD, tgt[:, :-1], tgt[:, 1:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden_size", type=int, default=48)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    vocab, batch_size = 14, 32
    encoder, decoder = Encoder(vocab, args.hidden_size), AttnDecoder(vocab, args.hidden_size)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    criterion = nn.CrossEntropyLoss(ignore_index=PAD)

    for step in range(70):
        src, src_mask, tgt_in, tgt_out = collate(*pairs(batch_size, vocab, rng))
        encoder_outputs, hidden = encoder(src)
        logits, _, _ = decoder(tgt_in, hidden, encoder_outputs, src_mask)
        loss = criterion(logits.reshape(-1, vocab), tgt_out.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.4f}")

    encoder.eval()
    decoder.eval()
    total, tokens, right = 0.0, 0, 0
    with torch.no_grad():
        for _ in range(3):
            src, src_mask, tgt_in, tgt_out = collate(*pairs(batch_size, vocab, rng))
            encoder_outputs, hidden = encoder(src)
            logits, _, _ = decoder(tgt_in, hidden, encoder_outputs, src_mask)
            counted = tgt_out != PAD
            batch_loss = criterion(logits.reshape(-1, vocab), tgt_out.reshape(-1)).item()
            total += batch_loss * counted.sum().item()
            tokens += counted.sum().item()
            right += (logits.argmax(-1) == tgt_out)[counted].sum().item()
    print(f"per token: {total / tokens:.4f} nats, accuracy {right / tokens:.3f}")


if __name__ == "__main__":
    main()
