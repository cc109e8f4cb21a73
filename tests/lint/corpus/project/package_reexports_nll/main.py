import torch
import vision
from torch.utils.data import DataLoader, TensorDataset
from vision import build_lenet

EPOCHS = 3


def make_loader(n, batch_size=32):
    images = torch.randn(n, 1, 32, 32)
    labels = torch.randint(0, 10, (n,))
    return DataLoader(TensorDataset(images, labels), batch_size=batch_size, shuffle=True)


def main():
    train_loader, test_loader = make_loader(512), make_loader(128)
    model = build_lenet(n_classes=10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_fn = torch.nn.NLLLoss()
    for epoch in range(EPOCHS):
        loss = vision.train_one_epoch(model, train_loader, loss_fn, optimizer)
        print(epoch, loss, vision.evaluate(model, test_loader))


if __name__ == "__main__":
    main()
