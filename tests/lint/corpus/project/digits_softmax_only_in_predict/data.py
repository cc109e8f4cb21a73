from torch.utils.data import DataLoader
from torchvision import datasets, transforms


def get_loaders(batch_size):
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    train = datasets.MNIST("data", train=True, download=True, transform=transform)
    test = datasets.MNIST("data", train=False, transform=transform)
    return DataLoader(train, batch_size, shuffle=True), DataLoader(test, 1000)
