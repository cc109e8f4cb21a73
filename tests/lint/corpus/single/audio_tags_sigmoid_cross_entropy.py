# case: audio genre net that ends in nn.Sigmoid but is trained with cross-entropy on class indices
import torch
import torch.nn as nn
import torch.utils.data as tud


class GenreDataset(tud.Dataset):
    GENRES = ["blues", "classical", "country", "disco", "hiphop", "jazz"]

    def __init__(self, n=96):
        self.mels = torch.randn(n, 1, 64, 32)
        self.labels = torch.randint(0, len(self.GENRES), (n,))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.mels[i], self.labels[i]


class CNNNetwork(nn.Module):
    def __init__(self, n_genres):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(1, 8, 3, 1, 2), nn.ReLU(), nn.MaxPool2d(2))
        self.conv2 = nn.Sequential(nn.Conv2d(8, 16, 3, 1, 2), nn.ReLU(), nn.MaxPool2d(2))
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(16 * 17 * 9, n_genres)
        self.sigmoid = nn.Sigmoid()

    def forward(self, input_data):
        x = self.conv1(input_data)
        x = self.conv2(x)
        x = self.flatten(x)
        logits = self.linear(x)
        predictions = self.sigmoid(logits)
        return predictions


def train_single_epoch(model, data_loader, loss_fn, optimiser, device):
    for input, target in data_loader:
        input, target = input.to(device), target.to(device)
        prediction = model(input)
        loss = loss_fn(prediction, target)  # expect: LH102
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(f"loss: {loss.item()}")


def train(model, data_loader, loss_fn, optimiser, device, epochs):
    for i in range(epochs):
        print(f"Epoch {i + 1}")
        train_single_epoch(model, data_loader, loss_fn, optimiser, device)
        print("---------------------------")
    print("Finished training")


if __name__ == "__main__":
    loader = tud.DataLoader(GenreDataset(), batch_size=16)
    cnn = CNNNetwork(len(GenreDataset.GENRES))
    train(cnn, loader, nn.CrossEntropyLoss(), torch.optim.Adam(cnn.parameters(), lr=1e-3), "cpu", 1)
