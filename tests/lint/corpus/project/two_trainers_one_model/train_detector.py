"""Reuses the discriminator as a detector of generated images."""

import torch
import torch.nn as nn
from discriminator import Discriminator


def main(steps=100, batch=32):
    detector = Discriminator(channels=1)
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(detector.parameters(), lr=1e-4)
    for step in range(steps):
        images = torch.rand(batch, 1, 32, 32)
        generated = torch.randint(0, 2, (batch, 1)).float()
        score = detector(images)
        loss = criterion(score, generated)  # expect: LH106
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            print(step, loss.item())


if __name__ == "__main__":
    main()
