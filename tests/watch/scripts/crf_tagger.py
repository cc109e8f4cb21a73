"""Linear-chain CRF: the log-partition of the chain minus the score of the gold path; no loss of torch."""

import argparse

import torch
import torch.nn as nn


class CRF(nn.Module):
    def __init__(self, num_tags):
        super().__init__()
        self.start = nn.Parameter(torch.zeros(num_tags))
        self.transitions = nn.Parameter(0.1 * torch.randn(num_tags, num_tags))

    def score(self, emissions, tags, mask):
        total = self.start[tags[:, 0]] + emissions[:, 0].gather(1, tags[:, :1]).squeeze(1)
        for t in range(1, emissions.size(1)):
            step = self.transitions[tags[:, t - 1], tags[:, t]]
            step = step + emissions[:, t].gather(1, tags[:, t : t + 1]).squeeze(1)
            total = total + step * mask[:, t]
        return total

    def partition(self, emissions, mask):
        alpha = self.start + emissions[:, 0]
        for t in range(1, emissions.size(1)):
            following = torch.logsumexp(alpha[:, :, None] + self.transitions, dim=1) + emissions[:, t]
            alpha = torch.where(mask[:, t, None] > 0, following, alpha)
        return torch.logsumexp(alpha, dim=1)

    def forward(self, emissions, tags, mask):
        log_likelihood = self.score(emissions, tags, mask) - self.partition(emissions, mask)
        return -log_likelihood.sum() / mask.sum()

    @torch.no_grad()
    def decode(self, emissions):
        best, pointers = self.start + emissions[:, 0], []
        for t in range(1, emissions.size(1)):
            best, pointer = (best[:, :, None] + self.transitions).max(dim=1)
            best = best + emissions[:, t]
            pointers.append(pointer)
        path = [best.argmax(dim=1)]
        for pointer in reversed(pointers):
            path.append(pointer.gather(1, path[-1][:, None]).squeeze(1))
        return torch.stack(path[::-1], dim=1)


def chains(count, length, transition, emission):
    """A hidden Markov model: what is seen says little, the neighbours say the rest."""
    tags = [torch.randint(len(transition), (count,))]
    for _ in range(length - 1):
        tags.append(torch.multinomial(transition[tags[-1]], 1).squeeze(1))
    tags = torch.stack(tags, dim=1)
    words = torch.multinomial(emission[tags.flatten()], 1).view(count, length)
    mask = (torch.arange(length) < torch.randint(3, length + 1, (count, 1))).float()
    return words, tags, mask


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    num_tags, vocab = 3, 12
    transition = 0.1 + 5 * torch.eye(num_tags).roll(1, dims=1)
    emission = torch.rand(num_tags, vocab) ** 3
    encoder, crf = nn.Sequential(nn.Embedding(vocab, 16), nn.Linear(16, num_tags)), CRF(num_tags)
    optimizer = torch.optim.Adam([*encoder.parameters(), *crf.parameters()], lr=5e-2)
    for step in range(40):
        words, tags, mask = chains(32, 8, transition, emission)
        loss = crf(encoder(words), tags, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            print(f"step {step}: {loss.item():.4f} nats per tag")
    words, tags, _ = chains(200, 8, transition, emission)
    with torch.no_grad():
        emissions = encoder(words)
    alone = (emissions.argmax(-1) == tags).float().mean()
    print(f"accuracy: word by word {alone:.3f}, Viterbi {(crf.decode(emissions) == tags).float().mean():.3f}")


if __name__ == "__main__":
    main()
