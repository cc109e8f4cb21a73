import torch
import torch.nn as nn
import torch.optim as optim
from tagging.model import Tagger

VOCAB, TAGS, BATCH, LENGTH = 2000, 17, 32, 25


def main(steps=300):
    model = Tagger(VOCAB, TAGS)
    loss_function = nn.NLLLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for step in range(steps):
        sentences = torch.randint(VOCAB, (BATCH, LENGTH))
        tags = sentences % TAGS
        model.zero_grad()
        tag_scores = model(sentences)
        loss = loss_function(tag_scores.permute(0, 2, 1), tags)
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            best, guess = tag_scores.max(-1)
            print(step, loss.item(), (guess == tags).float().mean().item(), best.exp().mean().item())


if __name__ == "__main__":
    main()
