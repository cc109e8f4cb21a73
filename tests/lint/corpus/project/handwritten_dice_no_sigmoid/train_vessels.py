import torch
from losses import DiceLoss
from vessel_net import VesselNet


def patches(n, size=48):
    image = torch.rand(n, 1, size, size)
    return image, (image > 0.8).float()


def main(epochs=10):
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    model = VesselNet().to(device)
    dice_loss = DiceLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        for _ in range(20):
            image, mask = patches(16)
            image, mask = image.to(device), mask.to(device)
            output = model(image)
            loss = dice_loss(output, mask)  # expect: LH111
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(epoch, 1 - loss.item())


if __name__ == "__main__":
    main()
