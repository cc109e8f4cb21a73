import lightning as L
from lit import LitClassifier
from torch.utils.data import DataLoader, random_split
from torchvision import transforms
from torchvision.datasets import FashionMNIST


def main():
    L.seed_everything(7)
    dataset = FashionMNIST("data", train=True, download=True, transform=transforms.ToTensor())
    train, val = random_split(dataset, [55_000, 5_000])
    trainer = L.Trainer(max_epochs=10, deterministic=True)
    trainer.fit(LitClassifier(), DataLoader(train, 128, shuffle=True), DataLoader(val, 512))


if __name__ == "__main__":
    main()
