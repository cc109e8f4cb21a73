import torch
from models import ImageClassifier, TextClassifier


def fit(model, make_batch, steps=200):
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(steps):
        loss = model.training_step(make_batch())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def images():
    return torch.rand(16, 3, 32, 32), torch.randint(5, (16,))


def texts():
    return torch.randint(1000, (16, 20)), torch.randint(5, (16,))


if __name__ == "__main__":
    print("images", fit(ImageClassifier(5), images))
    print("texts", fit(TextClassifier(1000, 5), texts))
