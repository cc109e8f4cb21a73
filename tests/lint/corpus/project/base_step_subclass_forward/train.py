import torch
from models import AudioClassifier
from torch.utils.data import DataLoader, TensorDataset


def loader(n, batch_size):
    spectrograms = torch.randn(n, 1, 40, 98)
    words = torch.randint(0, 12, (n,))
    return DataLoader(TensorDataset(spectrograms, words), batch_size=batch_size, shuffle=True)


def main():
    model = AudioClassifier(n_keywords=12)
    print(model.num_parameters(), "parameters")
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    for epoch in range(10):
        model.train()
        for batch in loader(256, 32):
            loss = model.training_step(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
