import sys

import torch
from losses import get_loss
from networks import BagOfWords, BagOfWordsLogits

VOCAB = 20_000


def batches(n_batches, batch_size=32, length=40):
    for _ in range(n_batches):
        tokens = torch.randint(0, VOCAB, (batch_size * length,))
        yield tokens, torch.arange(0, batch_size * length, length), torch.randint(0, 4, (batch_size,))


def train(net, criterion):
    optimizer = torch.optim.Adagrad(net.parameters(), lr=0.05)
    for tokens, offsets, labels in batches(200):
        loss = criterion(net(tokens, offsets), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


if __name__ == "__main__":
    if "--focal" in sys.argv:
        print(train(BagOfWordsLogits(VOCAB, 4), get_loss("focal", gamma=1.5)))
    else:
        print(train(BagOfWords(VOCAB, 4), get_loss("nll")))
