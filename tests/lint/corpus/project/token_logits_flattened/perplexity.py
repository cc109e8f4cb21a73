import math

import torch
from charlm import CharGRU
from charlm.loss import token_loss_sum


@torch.no_grad()
def perplexity(model, data, length=64):
    model.eval()
    nats, tokens = 0.0, 0
    for start in range(0, len(data) - 1, length):
        x = data[start : start + length][None]
        y = data[start + 1 : start + length + 1][None]
        x = x[:, : y.size(1)]
        nats += token_loss_sum(model(x), y).item()
        tokens += y.numel()
    return math.exp(nats / tokens)


if __name__ == "__main__":
    model = CharGRU(90)
    model.load_state_dict(torch.load("char.pt"))
    print(perplexity(model, torch.randint(90, (10_000,))))
