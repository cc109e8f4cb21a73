"""Train the bird classifier: ``python main.py``."""

import torch
from engine import predict, train, validate
from networks import build_model
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

SPECIES = 8


def main():
    torch.manual_seed(0)
    images = torch.randn(36, 3, 8, 8)
    labels = torch.randint(SPECIES, (36,))
    loader = DataLoader(TensorDataset(images, labels), batch_size=10, shuffle=True)
    model = build_model(SPECIES)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    for epoch in range(2):
        train(model, loader, criterion, optimizer)
        loss, accuracy = validate(model, loader, criterion)
        print(f"epoch {epoch} loss {loss:.6f} accuracy {accuracy:.4f}")
    print(f"sure {predict(model, images).amax(dim=1).mean().item():.6f}")


if __name__ == "__main__":
    main()
