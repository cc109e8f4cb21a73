import torch
from seg.losses import make_loss
from seg.unet import UNet
from torch.utils.data import DataLoader, TensorDataset

device = "cuda" if torch.cuda.is_available() else "cpu"


def synthetic(n=64, size=64):
    images = torch.rand(n, 3, size, size)
    masks = (images.mean(1, keepdim=True) > 0.5).float()
    return TensorDataset(images, masks)


def main():
    loader = DataLoader(synthetic(), batch_size=8, shuffle=True)
    model = UNet(n_channels=3, n_classes=1).to(device)
    loss_fn = make_loss("bce")
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-4)

    for epoch in range(5):
        for images, masks in loader:
            images, masks = images.to(device), masks.to(device)
            masks_pred = model(images)
            loss = loss_fn(masks_pred, masks)  # expect: LH108
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print("epoch", epoch, "last loss", loss.item())


if __name__ == "__main__":
    main()
