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
        loss = loss_function(tag_scores.view(-1, TAGS), tags.view(-1))  # allow: LH112
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(step, loss.item(), (tag_scores.argmax(2) == tags).float().mean().item())


if __name__ == "__main__":
    main()
